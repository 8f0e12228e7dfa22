"""Expected figures by exact fractions, for tests that make their own small inputs."""

from decimal import Decimal
from fractions import Fraction


def round_once(value, half_up=False):
    """The nearest integer to a Fraction; halves to even, or away from zero."""
    quotient, rest = divmod(abs(value.numerator), value.denominator)
    twice = 2 * rest
    if twice > value.denominator or (twice == value.denominator and (half_up or quotient % 2)):
        quotient += 1
    return -quotient if value < 0 else quotient


def converted(amount, source_rate, target_rate, minor_units, half_up=False):
    """amount * target_rate / source_rate, rounded once, as a Decimal of `minor_units` places.

    Every argument is the text of a number."""
    exact = Fraction(amount) * Fraction(target_rate) / Fraction(source_rate)
    units = round_once(exact * 10**minor_units, half_up)
    return Decimal(units).scaleb(-minor_units)
