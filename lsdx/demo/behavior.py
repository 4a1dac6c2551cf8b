"""What the animal of a session does: two latents, arousal and movement, and the wheel it turns."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lsdx.demo.plan import Plan
from lsdx.demo.records import Record
from lsdx.demo.spikes import RAMP
from lsdx.demo.timeline import Timeline

Floats = NDArray[np.float64]

AROUSAL_TIME = 10.0  # s, time constant of arousal
AROUSAL_STEP = 1.0  # s between the values of arousal; linear between them
DILATION = 0.3  # of the pupil, under LSD
PUPIL_WEIGHT = 0.1  # of arousal, in the log of the pupil's diameter
PAUSE = (2.0, 10.0)  # s between bouts of movement: the shortest, and the mean of the rest
BOUT = 3  # s, mean duration of a bout
WHEEL_SPEED = 2.0  # rad/s in a bout of vigor 1
WHEEL_STEP = 2 * math.pi / 256  # rad: the encoder tells each step, and is silent at rest


@dataclass(frozen=True)
class Behavior:
    """The two latents of a session, and the drug's effect on the pupil.

    A bout begins at a whole tenth of a second and lasts whole seconds, so that limbs that go
    round once a second end where they began.
    """

    arousal: Floats  # (second,), unit variance; linear between whole seconds
    onset: Floats  # (bout,) s
    offset: Floats
    vigor: Floats
    direction: Floats  # of the wheel, -1 or 1
    injection: float  # s
    dilation: float
    start: float  # s, of the cameras and the wheel
    stop: float

    def arousal_at(self, times: Floats) -> Floats:
        """Return arousal at some times."""
        return np.interp(times, np.arange(self.arousal.size) * AROUSAL_STEP, self.arousal)

    def movement_at(self, times: Floats) -> Floats:
        """Return movement at some times: the vigor of the bout, 0 between bouts."""
        bout = np.searchsorted(self.onset, times, side="right") - 1
        moves = (bout >= 0) & (times < self.offset[bout])
        return np.where(moves, self.vigor[bout], 0.0)

    def turns_at(self, times: Floats) -> Floats:
        """Return for how many turns, of 1 s each, the limbs have gone round in the bout."""
        bout = np.searchsorted(self.onset, times, side="right") - 1
        return np.where(bout >= 0, times - self.onset[bout], 0.0)

    def pupil_at(self, times: Floats) -> Floats:
        """Return the pupil's diameter at some times, 1 at rest before the injection."""
        effect = np.clip((times - self.injection) / RAMP, 0, 1)
        widened: Floats = np.exp(PUPIL_WEIGHT * self.arousal_at(times))
        return widened * (1 + self.dilation * effect)


def draw_behavior(rng: np.random.Generator, plan: Plan, line: Timeline) -> Behavior:
    """Draw the latents of a session."""
    keep = math.exp(-AROUSAL_STEP / AROUSAL_TIME)
    noise = rng.standard_normal(math.ceil(line.end / AROUSAL_STEP) + 1)
    noise[1:] *= math.sqrt(1 - keep**2)
    walk = itertools.accumulate(noise.tolist(), lambda before, now: now + keep * before)
    most = int(line.end / (PAUSE[0] + 1)) + 1
    durations = np.minimum(rng.geometric(1 / BOUT, most), 10).astype(float)
    pauses = np.round(PAUSE[0] + rng.exponential(PAUSE[1], most), 1)
    offset = np.round(np.cumsum(pauses + durations), 1)
    vigor = np.round(rng.uniform(0.5, 1.5, most), 3)
    direction = rng.choice([-1.0, 1.0], most)
    first, last = rng.uniform([2, 1], [4, 2])
    keeps = offset < line.end - 5
    return Behavior(
        arousal=np.round(list(walk), 4),
        onset=np.round(offset - durations, 1)[keeps],
        offset=offset[keeps],
        vigor=vigor[keeps],
        direction=direction[keeps],
        injection=line.injection,
        dilation=DILATION if plan.condition == "lsd" else 0.0,
        start=round(first, 4),
        stop=round(line.end - last, 4),
    )


def wheel(behavior: Behavior) -> tuple[Floats, Floats]:
    """Return times (s) and positions (rad) of the wheel: one row a step, uneven in time."""
    speed = WHEEL_SPEED * behavior.vigor
    duration = behavior.offset - behavior.onset
    steps = (speed * duration / WHEEL_STEP).astype(np.int64)
    bout = np.repeat(np.arange(steps.size), steps)
    number = np.arange(bout.size) - np.repeat(np.cumsum(steps) - steps, steps) + 1
    times = behavior.onset[bout] + number * WHEEL_STEP / speed[bout]
    position = np.cumsum(behavior.direction[bout]) * WHEEL_STEP
    times = np.concatenate([[behavior.start / 2], times, [behavior.stop]])
    return np.round(times, 6), np.concatenate([[0.0], position, position[-1:]])


def behavior_truth(behavior: Behavior) -> Record:
    """Return what is true of the latents, the pupil and the wheel."""
    return {
        "arousal": {"step": AROUSAL_STEP, "values": behavior.arousal.tolist()},
        "movement": {
            "onset": behavior.onset.tolist(),
            "offset": behavior.offset.tolist(),
            "vigor": behavior.vigor.tolist(),
        },
        "pupil": {"arousal_weight": PUPIL_WEIGHT, "dilation": behavior.dilation, "ramp": RAMP},
        "wheel": {
            "speed": WHEEL_SPEED,
            "path": float(np.abs(np.diff(wheel(behavior)[1])).sum()),
        },
    }
