"""Images on disk, through GDAL: reading by windows, writing GeoTIFF and COG, VRTs, alignment."""
