"""Lempel-Ziv complexity against known parsings, Kaspar and Schuster's loop, and antropy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsdx.kernels.complexity import equal_rate_bits, lempel_ziv, lempel_ziv_ratio, lz76

# the first example compiles
settings.register_profile("kernels", deadline=None)
SETTINGS = settings.get_profile("kernels")

sequences = st.lists(st.booleans(), max_size=60)


def kaspar_schuster(s):
    """Count phrases as Kaspar & Schuster 1987 do, trying every earlier start."""
    n = len(s)
    if n < 2:
        return n
    c, k, k_max, i, begin = 1, 1, 1, 0, 1
    while True:
        if s[i + k - 1] == s[begin + k - 1]:
            k += 1
            if begin + k > n:
                return c + 1
        else:
            k_max = max(k, k_max)
            i += 1
            if i == begin:
                c += 1
                begin += k_max
                if begin + 1 > n:
                    return c
                i, k_max = 0, 1
            k = 1


def phrases(s):
    """The parsing by its definition: the shortest substrings that do not occur before."""
    out, begin = [], 0
    while begin < len(s):
        end = begin + 1
        while end <= len(s) and s[begin:end] in s[: end - 1]:
            end += 1
        out.append(s[begin:end])
        begin = end
    return out


def random_sequences(n_sequences, n_max, seed):
    """Sequences with any share of ones, some of them of blocks that come again."""
    rng = np.random.default_rng(seed)
    for i in range(n_sequences):
        bits = rng.random(rng.integers(1, n_max)) < rng.random()
        yield (
            np.tile(bits, 3)[: bits.size + int(rng.integers(bits.size + 1))] if i % 4 == 0 else bits
        )


# lz76


@pytest.mark.parametrize(
    ("bits", "parsing"),
    [
        ("0001101001000101", "0 001 10 100 1000 101"),
        ("1001111011000010", "1 0 01 1110 1100 0010"),
        ("01011010001101110010", "0 1 011 0100 011011 1001 0"),
        ("0101010101", "0 1 01010101"),
        ("0000000000", "0 000000000"),
        ("01", "0 1"),
        ("00", "0 0"),
        ("1", "1"),
        ("", ""),
    ],
)
def test_known_parsings(bits, parsing):
    assert phrases(bits) == parsing.split()
    count = lz76(np.array([int(b) for b in bits], dtype=np.uint8))
    assert type(count) is int
    assert count == len(parsing.split())


@pytest.mark.parametrize("n", [2, 3, 17, 1000, 30_000])
def test_constant_and_alternating_sequences(n):
    assert lz76(np.zeros(n, dtype=bool)) == lz76(np.ones(n, dtype=bool)) == 2
    assert lz76(np.arange(n) % 2) == min(n, 3)


def test_every_short_sequence_equals_the_loop():
    for n in range(13):
        for number in range(2**n):
            bits = [number >> i & 1 for i in range(n)]
            assert lz76(np.array(bits, dtype=bool)) == kaspar_schuster(bits), bits


def test_random_sequences_equal_the_loop():
    for bits in random_sequences(400, 300, seed=0):
        assert lz76(bits) == kaspar_schuster(bits.tolist())


def test_random_sequences_equal_antropy():
    antropy = pytest.importorskip("antropy")
    for bits in random_sequences(800, 700, seed=1):
        assert lz76(bits) == antropy.lziv_complexity(bits, normalize=False)


@settings(SETTINGS, max_examples=60)
@given(sequences)
def test_any_sequence_equals_its_definition_from_either_side_of_0(bits):
    count = lz76(np.array(bits, dtype=bool))
    assert count == len(phrases("".join("01"[b] for b in bits)))
    assert count == lz76(~np.array(bits, dtype=bool))


@settings(SETTINGS, max_examples=60)
@given(sequences)
def test_a_bit_adds_a_phrase_at_most(bits):
    counts = [lz76(np.array(bits[:n], dtype=bool)) for n in range(len(bits) + 1)]
    assert set(np.diff(counts)) <= {0, 1}


@pytest.mark.parametrize("dtype", ["?", "u1", "i8", "f4"])
def test_whatever_is_not_0_is_1(dtype):
    bits = np.random.default_rng(2).random(500) < 0.3
    assert lz76((bits * 7).astype(dtype)) == lz76(bits)
    assert lz76(np.repeat(bits, 2)[::2]) == lz76(bits)


def test_several_sequences_at_once_are_refused():
    with pytest.raises(ValueError, match=r"expected bits \(n,\), found \(2, 3\)"):
        lz76(np.zeros((2, 3), dtype=bool))


# lempel_ziv


def test_the_count_is_normalised_row_by_row():
    rng = np.random.default_rng(3)
    bits = rng.random((3, 4, 777)) < rng.random((3, 4, 1))
    out = lempel_ziv(bits)
    assert out.shape == (3, 4)
    assert out.dtype == np.float64
    for i in np.ndindex(3, 4):
        assert out[i] == pytest.approx(lz76(bits[i]) * np.log2(777) / 777)
    rows = [7, 0, 3]
    np.testing.assert_array_equal(lempel_ziv(bits.reshape(12, -1)[rows]), out.reshape(-1)[rows])


def test_antropy_agrees_on_the_normalised_value():
    antropy = pytest.importorskip("antropy")
    bits = np.random.default_rng(4).random(3000) < 0.2
    assert lempel_ziv(bits) == pytest.approx(antropy.lziv_complexity(bits, normalize=True))


def test_independent_bits_come_down_to_their_entropy():
    rng = np.random.default_rng(5)
    for p in (0.5, 0.1):
        entropy = -p * np.log2(p) - (1 - p) * np.log2(1 - p)
        values = [lempel_ziv(rng.random((20, n)) < p).mean() for n in (300, 3000, 30_000)]
        assert values == sorted(values, reverse=True)
        assert values[-1] == pytest.approx(entropy, rel=0.08)


def test_fewer_than_200_bits_give_nan():
    bits = np.random.default_rng(6).random((2, 200)) < 0.5
    assert np.isfinite(lempel_ziv(bits)).all()
    assert np.isnan(lempel_ziv(bits[:, :199])).all()
    assert np.isnan(lempel_ziv(np.zeros((2, 0), dtype=bool))).all()
    assert lempel_ziv(bits[:0]).shape == (0,)
    assert lempel_ziv(bits[0]).shape == ()


def test_input_is_only_read():
    bits = np.random.default_rng(7).random((2, 300)) < 0.5
    bits.flags.writeable = False  # writing would raise
    before = bits.copy()
    lempel_ziv(bits), lz76(bits[0]), lempel_ziv(bits.T[:, ::-1].T)
    np.testing.assert_array_equal(bits, before)


def test_bits_have_one_threshold_a_unit_at_equal_rates() -> None:
    rng = np.random.default_rng(8)
    counts = rng.poisson([[[0.2], [2.0]]], (3, 2, 1000)).astype(float)
    counts[0, 1, 900:] = np.nan
    counts[1, 0, 5] = np.nan
    keys = np.arange(6, dtype=np.uint64).reshape(3, 2)
    bits, n = equal_rate_bits(counts, keys)
    assert n.tolist() == [[1000, 900], [0, 1000], [1000, 1000]]  # a hole: not told
    share = bits[2].mean(axis=1)
    assert abs(share[0] - share[1]) < 0.05  # both at the lower rate now
    as_is, _ = equal_rate_bits(counts, keys, mean=1e9)
    np.testing.assert_array_equal(as_is[2], counts[2] > counts[2].mean())


def test_ratios_of_own_lengths() -> None:
    rng = np.random.default_rng(9)
    bits = rng.random((40, 1500)) < 0.3
    n_bits = np.where(np.arange(40) % 2, 1500, 700)
    n_bits[0] = 150
    value, ratio = lempel_ziv_ratio(bits, n_bits, n_shuffles=50, seed=1)
    assert np.isnan(value[0])
    np.testing.assert_allclose(value[1], lempel_ziv(bits[1]))
    np.testing.assert_allclose(value[2], lempel_ziv(bits[2, :700]))
    np.testing.assert_allclose(np.nanmean(ratio), 1, atol=0.02)
    constant = lempel_ziv_ratio(np.zeros((2, 300), bool), np.full(2, 300), n_shuffles=2, seed=0)
    assert np.isnan(constant[0]).all()
