"""A simulated cohort, written as a local ONE cache, whose ground truth is known.

The cohort imitates what the reading rules have to cope with: two sorters on one probe, a run
without tables, a filler run, a missing probe, and so on. Each oddity has a name in
``truth.json``. Nothing in it comes from a real recording.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tqdm import tqdm

from lsdx.arguments import whole_number
from lsdx.demo.folder import write_once
from lsdx.demo.formats import write_json
from lsdx.demo.open_field import write_open_field
from lsdx.demo.plan import plan_session
from lsdx.demo.records import Record, image_stacks
from lsdx.demo.session import write_session
from lsdx.demo.tables import write_cache_tables, write_lab_tables

__all__ = ["VERSION", "write_cohort", "write_open_field"]

VERSION = 3
"""Version of the generator: raised whenever the same arguments give other bytes."""


def write_cohort(
    directory: str | Path,
    *,
    n_sessions: int = 7,
    n_units: int = 200,
    seed: int = 0,
    progress: bool = False,
) -> Path:
    """Simulate a cohort and write it as ALF files in a local ONE cache.

    Parameters
    ----------
    directory : str or Path
        Root of the cache: new, empty, or holding this very cohort, which is then kept as it is.
    n_sessions : int, default 7
        Sessions to write. Session k is the same whatever their number.
    n_units : int, default 200
        Units that spike, per session, half on each probe; at least 4. Silent clusters come
        on top.
    seed : int, default 0
        Seed of the cohort, not negative. The same arguments give the same bytes.
    progress : bool, default False
        Show a progress bar, on a terminal only.

    Returns
    -------
    Path
        Absolute path of the cache. Beside ONE's tables it holds ``alyx_records.json``,
        ``administrations.csv``, ``trajectories.csv``, ``lsdx.toml`` and ``truth.json``.

    Raises
    ------
    ArgumentError
        If an argument is out of range.
    ConfigError
        If the directory holds anything else.

    Notes
    -----
    Unit i fires as a Poisson process with a refractory period of 1.5 ms and the rate
    ``base_i * exp(loadings_i . z(t) + log(gain_i) d(t) + log(drift_i) (t / T - 1 / 2))``,
    where z are Ornstein-Uhlenbeck processes with time constants of 1 to 4 s, and d rises from
    0 at the injection to 1 after 900 s in LSD sessions and stays 0 in saline sessions. The
    loadings are spread over 6 dimensions at d = 0 and over 12 at d = 1, with the same variance
    of the log rate. Gabors add spikes to visual units 50 to 150 ms after their onset.
    Bombcell's duplicate flags mark spikes at random.

    The animal has two latents. Arousal is an Ornstein-Uhlenbeck process with a time constant of
    10 s and unit variance; movement is the vigor of a bout, and 0 between bouts. About a tenth of
    the units follow one of them: their rate is also multiplied by ``exp(weight latent(t))``. They
    are none of those that the drug, a drift or the gabors change. The diameter of the pupil is
    ``diameter * exp(0.1 arousal(t)) * (1 + dilation d(t))`` with a dilation of 0.3 in LSD sessions
    and 0 in saline sessions. In a bout, paws, nose and tail go round once a second; the radius,
    the motion energy and the speed of the wheel grow with the vigor. Frames are fewer than real
    ones: 12, 15 and 6 a second of the left, right and body camera. Everything about behaviour is in
    ``truth.json``, under ``behavior`` of each session and as ``follows`` and ``weight`` of each
    unit.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     root = write_cohort(Path(folder) / "demo", n_sessions=1, n_units=4)
    ...     sorted(path.name for path in root.glob("*.pqt"))
    ['datasets.pqt', 'insertions.pqt', 'sessions.pqt']
    """
    generator = {
        "name": "lsdx demo",
        "version": VERSION,
        "n_sessions": whole_number(n_sessions, "write_cohort, n_sessions", least=1),
        "n_units": whole_number(n_units, "write_cohort, n_units", least=4),
        "seed": whole_number(seed, "write_cohort, seed", least=0),
    }
    return write_once(directory, generator, partial(_write, generator=generator, progress=progress))


def _write(root: Path, generator: Record, *, progress: bool) -> None:
    seed, n_units = generator["seed"], generator["n_units"]
    sessions = [
        write_session(root, plan_session(index), seed=seed, n_units=n_units)
        for index in tqdm(
            range(generator["n_sessions"]), "demo cohort", disable=None if progress else True
        )
    ]
    write_cache_tables(root, sessions)
    write_lab_tables(root, sessions)
    records = {
        "format": 1,
        "created": "2026-01-01T00:00:00",
        "source": "lsdx demo",
        "simulated": True,
        "sessions": [session.record for session in sessions],
        "insertions": [record for session in sessions for record in session.insertions],
        "stacks": {each.plan.subject: image_stacks(each.plan.subject) for each in sessions},
    }
    write_json(root / "alyx_records.json", records, indent=1)
    truth = {"generator": generator, "sessions": [session.truth for session in sessions]}
    write_json(root / "truth.json", truth)
