"""Where the probes lie: the region and the place of each channel."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Region, Allen id and per cent of the channels, from the tip upwards.
TRACKS = {
    "probe00": "LGd-co 496345668 5, LGd-sh 496345664 5, LP 218 20, DG-mo 10703 11, CA1 382 16, "
    "cing 940 6, VISp6a 33 8, VISp5 778 13, VISp4 721 6, VISp2/3 821 8, VISp1 593 2",
    "probe01": "CP 672 20, PL6a 84 7, PL5 363 12, PL2/3 304 8, ACAd6a 919 8, ACAd5 1015 14, "
    "ACAd2/3 211 8, MOs5 767 12, MOs2/3 962 8, MOs1 656 3",
}
TIPS = {"probe00": (2100.0, -2500.0, -3900.0), "probe01": (-500.0, 1900.0, -3700.0)}  # um
SLOPE = np.array([0.12, -0.08, 0.98])  # of the probes, from the tip upwards
VISUAL = ("VISp2/3", "VISp4", "VISp5", "VISp6a", "LP", "LGd-sh", "LGd-co")
CHANNELS = 384


def track(probe: str) -> tuple[NDArray[np.str_], NDArray[np.int64]]:
    """Return the acronym and the Allen id of each channel's region."""
    acronyms, places, shares = zip(*map(str.split, TRACKS[probe].split(", ")), strict=True)
    tops = np.cumsum([int(share) for share in shares]) / 100 * CHANNELS
    entry = np.searchsorted(tops, np.arange(CHANNELS) + 0.5)
    return np.array(acronyms)[entry], np.array([int(place) for place in places])[entry]


def channel_arrays(probe: str) -> dict[str, NDArray[Any]]:
    """Return the arrays over a probe's channels, by name of their file."""
    rank = np.arange(CHANNELS)
    along = 20.0 * (rank // 2 + 1)
    across = np.array([43.0, 11.0, 59.0, 27.0])[rank % 4]
    return {
        "channels.rawInd": rank,
        "channels.localCoordinates": np.column_stack([across, along]),
        "channels.mlapdv": np.round(TIPS[probe] + along[:, None] * SLOPE, 3),
        "channels.brainLocationIds_ccf_2017": track(probe)[1],
    }


def picks(probe: str) -> list[list[int]]:
    """Return the points that were marked along a probe's track in histology, in um."""
    points = np.rint(TIPS[probe] + np.linspace(3800, 0, 12)[:, None] * SLOPE)
    return [[int(x) for x in point] for point in points]
