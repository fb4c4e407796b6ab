"""What needs QGIS's window; never imported headless."""
