"""Spectral indices of water, snow, fire, towns, soil and rocks, as those of vegetation."""

from __future__ import annotations

from typing import Any

_NDVI = "(nir - red) / (nir + red)"
_NDBI = "(swir1 - nir) / (swir1 + nir)"
_NBR = "(nir - swir2) / (nir + swir2)"
_DNBR = f"({_NBR} - (nir_after - swir2_after) / (nir_after + swir2_after))"
_CHAR = "((swir2 - narrow_nir) / sqrt(swir2 + narrow_nir) + 1)"
_BUILT = "2 * swir1 / (swir1 + nir)"
_LIVING = "(nir / (nir + red) + green / (green + swir1))"

Rows = tuple[tuple[Any, ...], ...]

# fmt: off
WATER: Rows = (
    ("ndwi", "Normalized difference water index of McFeeters",
     "(green - nir) / (green + nir)", "McFeeters 1996", -0.8, 0.8),
    ("mndwi", "Modified normalized difference water index",
     "(green - swir1) / (green + swir1)", "Xu 2006", -0.8, 0.8),
    ("aweinsh", "Automated water extraction index, no shadows",
     "4 * (green - swir1) - (0.25 * nir + 2.75 * swir2)", "Feyisa et al. 2014", -1, 1),
    ("aweish", "Automated water extraction index, with shadows",
     "blue + 2.5 * green - 1.5 * (nir + swir1) - 0.25 * swir2", "Feyisa et al. 2014",
     -0.6, 0.6),
    ("wri", "Water ratio index",
     "(green + red) / (nir + swir1)", "Shen and Li 2010", 0, 2),
    ("wi2015", "Water index 2015",
     "1.7204 + 171 * green + 3 * red - 70 * nir - 45 * swir1 - 71 * swir2",
     "Fisher et al. 2016", -40, 40),
    ("swm", "Sentinel water mask",
     "(blue + green) / (nir + swir1)", "Milczarek et al. 2017", 0, 3),
    ("nwi", "New water index",
     "(blue - (nir + swir1 + swir2)) / (blue + (nir + swir1 + swir2))", "Ding 2009", -1, 0.6),
    ("andwi", "Augmented normalized difference water index",
     "(blue + green + red - nir - swir1 - swir2) / (blue + green + red + nir + swir1 + swir2)",
     "Rad et al. 2021", -0.8, 0.8),
    ("ndponi", "Normalized difference pond index",
     "(swir1 - green) / (swir1 + green)", "Lacaux et al. 2007", -0.8, 0.8),
    ("ndti", "Normalized difference turbidity index",
     "(red - green) / (red + green)", "Lacaux et al. 2007", -0.4, 0.3),
    ("ndci", "Normalized difference chlorophyll index",
     "(red_edge1 - red) / (red_edge1 + red)", "Mishra and Mishra 2012", -0.2, 0.5),
    ("ndssi", "Normalized difference suspended sediment index",
     "(blue - nir) / (blue + nir)", "Hossain et al. 2010", -0.8, 0.8),
    ("ndavi", "Normalized difference aquatic vegetation index",
     "(nir - blue) / (nir + blue)", "Villa et al. 2014", -0.2, 0.9),
    ("wavi", "Water-adjusted vegetation index",
     "(1 + L) * (nir - blue) / (nir + blue + L)", "Villa et al. 2014", -0.2, 0.9),
)
MOISTURE: Rows = (
    ("ndmi", "Normalized difference moisture index (NDII, LSWI)",
     "(nir - swir1) / (nir + swir1)", "Hardisky et al. 1983", -0.4, 0.6),
    ("ndwigao", "Normalized difference water index of Gao, in leaves",
     "(narrow_nir - swir1) / (narrow_nir + swir1)", "Gao 1996", -0.4, 0.6),
    ("msi", "Moisture stress index", "swir1 / nir", "Hunt and Rock 1989", 0.2, 2),
    ("gvmi", "Global vegetation moisture index",
     "((nir + 0.1) - (swir1 + 0.02)) / ((nir + 0.1) + (swir1 + 0.02))",
     "Ceccato et al. 2002", -0.2, 0.7),
    ("nmdi", "Normalized multi-band drought index",
     "(nir - (swir1 - swir2)) / (nir + (swir1 - swir2))", "Wang and Qu 2007", 0.2, 0.9),
    ("dswi", "Disease water stress index",
     "(nir + green) / (swir1 + red)", "Apan et al. 2004", 0, 3),
)
SNOW: Rows = (
    ("ndsi", "Normalized difference snow index",
     "(green - swir1) / (green + swir1)", "Hall et al. 1995", -0.5, 1),
    ("s3", "Snow index S3",
     "nir * (red - swir1) / ((nir + red) * (nir + swir1))", "Saito and Yamazaki 1999",
     -0.2, 0.5),
    ("swi", "Snow water index",
     "green * (nir - swir1) / ((green + nir) * (nir + swir1))", "Dixit et al. 2019",
     -0.2, 0.5),
    ("ndgi", "Normalized difference glacier index",
     "(green - red) / (green + red)", "Keshri et al. 2009", -0.2, 0.2),
)
FIRE: Rows = (
    ("nbr", "Normalized burn ratio", _NBR, "Key and Benson 2006", -0.5, 0.9),
    ("nbr2", "Normalized burn ratio 2",
     "(swir1 - swir2) / (swir1 + swir2)", "Key and Benson 2006", -0.1, 0.5),
    ("nbrplus", "Normalized burn ratio plus",
     "(swir2 - narrow_nir - green - blue) / (swir2 + narrow_nir + green + blue)",
     "Alcaras et al. 2022", -0.9, 0.5),
    ("nbrswir", "Normalized burn ratio of shortwave infrared",
     "(swir2 - swir1 - 0.02) / (swir2 + swir1 + 0.1)", "Liu et al. 2020", -0.5, 0.2),
    ("bai", "Burned area index",
     "1 / ((0.1 - red)**2 + (0.06 - nir)**2)", "Chuvieco et al. 2002", 0, 300),
    ("baim", "Burned area index for MODIS",
     "1 / ((0.05 - nir)**2 + (0.2 - swir2)**2)", "Martin et al. 2006", 0, 300),
    ("bais2", "Burned area index for Sentinel-2",
     f"(1 - sqrt(red_edge2 * red_edge3 * narrow_nir / red)) * {_CHAR}", "Filipponi 2018", 0, 1.5),
    ("mirbi", "Mid-infrared burn index",
     "10 * swir2 - 9.8 * swir1 + 2", "Trigg and Flasse 2001", 0.5, 3),
    ("csi", "Char soil index", "nir / swir2", "Smith et al. 2007", 0, 5),
    ("dnbr", "Change of NBR, burn severity", _DNBR, "Key and Benson 2006", -0.25, 1),
    ("rbr", "Relativized burn ratio", f"{_DNBR} / ({_NBR} + 1.001)", "Parks et al. 2014",
     -0.15, 0.6),
    ("rdnbr", "Relative change of NBR", f"{_DNBR} / sqrt(abs({_NBR}))",
     "Miller and Thode 2007", -0.3, 1.2),
    ("dndvi", "Change of NDVI, loss of vegetation",
     f"{_NDVI} - (nir_after - red_after) / (nir_after + red_after)",
     "Nelson 1983", -0.5, 0.8),
)
BUILT_UP: Rows = (
    ("ndbi", "Normalized difference built-up index",
     _NDBI, "Zha et al. 2003", -0.5, 0.5),
    ("ui", "Urban index", "(swir2 - nir) / (swir2 + nir)", "Kawamura et al. 1996", -0.7, 0.4),
    ("ibi", "Index-based built-up index",
     f"({_BUILT} - {_LIVING}) / ({_BUILT} + {_LIVING})", "Xu 2008", -0.5, 0.3),
    ("bui", "Built-up index",
     f"{_NDBI} - {_NDVI}", "He et al. 2010", -1.2, 0.5),
    ("vibi", "Vegetation index built-up index",
     f"({_NDVI}) / ({_NDVI} + {_NDBI})",
     "Stathakis et al. 2012", -1, 3),
    ("blfei", "Built-up land features extraction index",
     "((green + red + swir2) / 3 - swir1) / ((green + red + swir2) / 3 + swir1)",
     "Bouhennache et al. 2019", -0.6, 0.3),
    ("brba", "Band ratio for built-up area", "red / swir1", "Waqar et al. 2012", 0, 1.5),
    ("wvbi", "WorldView built-up index",
     "(coastal - red_edge1) / (coastal + red_edge1)", "Wolf 2012", -0.6, 0.6),
    ("pisi", "Perpendicular impervious surface index",
     "0.8192 * blue - 0.5735 * nir + 0.075", "Tian et al. 2018", -0.2, 0.15),
    ("ndbai", "Normalized difference bareness index",
     "(swir1 - thermal) / (swir1 + thermal)", "Zhao and Chen 2005"),
    ("ebbi", "Enhanced built-up and bareness index",
     "(swir1 - nir) / (10 * sqrt(swir1 + thermal))", "As-syakur et al. 2012"),
)
SOIL: Rows = (
    ("bsi", "Bare soil index",
     "((swir1 + red) - (nir + blue)) / ((swir1 + red) + (nir + blue))",
     "Rikimaru et al. 2002", -0.5, 0.4),
    ("dbsi", "Dry bare soil index",
     f"(swir1 - green) / (swir1 + green) - {_NDVI}", "Rasul et al. 2018", -0.8, 0.5),
    ("mbi", "Modified bare soil index",
     "(swir1 - swir2 - nir) / (swir1 + swir2 + nir) + 0.5", "Nguyen et al. 2021", -0.3, 0.4),
    ("ndsoi", "Normalized difference soil index",
     "(swir2 - green) / (swir2 + green)", "Deng et al. 2015", -0.5, 0.6),
    ("ndtillage", "Normalized difference tillage index",
     "(swir1 - swir2) / (swir1 + swir2)", "van Deventer et al. 1997", 0, 0.3),
    ("sti", "Simple tillage index", "swir1 / swir2", "van Deventer et al. 1997", 1, 2),
    ("wvsi", "WorldView soil index",
     "(green - yellow) / (green + yellow)", "Wolf 2012", -0.4, 0.2),
    ("bi", "Brightness index", "sqrt((red**2 + green**2) / 2)", "Escadafal 1989", 0, 0.4),
    ("bi2", "Brightness index 2",
     "sqrt((red**2 + green**2 + nir**2) / 3)", "Escadafal 1989", 0, 0.5),
    ("ci", "Colour index", "(red - green) / (red + green)", "Pouget et al. 1990", -0.2, 0.4),
    ("ri", "Redness index", "red**2 / green**3", "Pouget et al. 1990"),
    ("salinity", "Salinity index", "sqrt(blue * red)", "Khan et al. 2005", 0, 0.4),
)
ROCKS: Rows = (
    ("clay", "Clay minerals ratio", "swir1 / swir2", "Drury 1987", 0.8, 2.5),
    ("ironoxide", "Iron oxide ratio", "red / blue", "Segal 1982", 0.5, 4),
    ("ferrous", "Ferrous minerals ratio", "swir1 / nir", "Segal 1982", 0.2, 2),
)
# fmt: on
