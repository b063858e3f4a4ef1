//! Exact decimals: `0.1 + 0.2` is `0.3`, integers are as large as they are written.

use std::cmp::Ordering;
use std::fmt;

use super::nat::Nat;

/// Significant digits that are kept; HCL's numbers of 512 bits have about as many.
const PRECISION: usize = 155;
/// Digits that a literal may have, and the largest exponent of a result.
const MAX_DIGITS: usize = 500;

/// A decimal number: `±mantissa × 10^exponent`, the mantissa without trailing zeros.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Number {
    negative: bool,
    mantissa: Nat,
    exponent: i32,
}

impl From<i64> for Number {
    fn from(value: i64) -> Self {
        Self::new(value < 0, Nat::from(value.unsigned_abs()), 0)
    }
}

impl From<u128> for Number {
    fn from(value: u128) -> Self {
        Self::new(false, Nat::from(value), 0)
    }
}

impl From<usize> for Number {
    fn from(value: usize) -> Self {
        Self::new(false, Nat::from(value as u64), 0)
    }
}

impl Number {
    /// Zero.
    pub(crate) const ZERO: Self = Self {
        negative: false,
        mantissa: Nat::ZERO,
        exponent: 0,
    };

    pub(crate) fn new(negative: bool, mantissa: Nat, exponent: i32) -> Self {
        if mantissa.is_zero() {
            return Self::ZERO;
        }
        let mut number = Self {
            negative,
            mantissa,
            exponent,
        };
        number.round_to(PRECISION);
        // Trailing zeros go to the exponent, so that equal numbers are equal in form.
        let digits = number.mantissa.digits();
        let zeros = digits.len() - digits.trim_end_matches('0').len();
        if zeros > 0 {
            number.mantissa = Nat::from_digits(&digits[..digits.len() - zeros]).unwrap_or_default();
            number.exponent += zeros as i32;
        }
        number
    }

    /// Keeps so many significant digits, rounding half to even.
    fn round_to(&mut self, digits: usize) {
        let count = self.mantissa.digit_count();
        if count > digits {
            let drop = count - digits;
            self.mantissa = divide_rounding(&self.mantissa, &Nat::power_of_ten(drop));
            self.exponent += drop as i32;
        }
    }

    /// Reads `-12.5e3`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (digits, exponent) = match rest.find(['e', 'E']) {
            Some(at) => (&rest[..at], rest[at + 1..].parse::<i32>().ok()?),
            None => (rest, 0),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.is_empty() || (digits.contains('.') && fraction.is_empty()) {
            return None;
        }
        if whole.len() + fraction.len() > MAX_DIGITS
            || exponent.unsigned_abs() as usize > MAX_DIGITS
        {
            return None;
        }
        let mantissa = Nat::from_digits(&format!("{whole}{fraction}"))?;
        Some(Self::new(
            negative,
            mantissa,
            exponent - fraction.len() as i32,
        ))
    }

    /// The nearest decimal to a float: the shortest that reads back as the same float.
    pub(crate) fn from_f64(value: f64) -> Option<Self> {
        if !value.is_finite() {
            return None;
        }
        Self::parse(&format!("{value:e}"))
    }

    /// The nearest float.
    pub(crate) fn to_f64(&self) -> f64 {
        format!(
            "{}{}e{}",
            if self.negative { "-" } else { "" },
            self.mantissa.digits(),
            self.exponent
        )
        .parse()
        .unwrap_or(f64::NAN)
    }

    /// The number as an integer, if it is one and fits.
    pub(crate) fn to_i64(&self) -> Option<i64> {
        let value = i128::try_from(self.integer()?.to_u128()?).ok()?;
        i64::try_from(if self.negative { -value } else { value }).ok()
    }

    /// The mantissa of an integer, without its sign.
    pub(crate) fn integer(&self) -> Option<Nat> {
        if self.exponent < 0 {
            return None;
        }
        Some(
            self.mantissa
                .multiply(&Nat::power_of_ten(self.exponent as usize)),
        )
    }

    /// Whether it has no fraction.
    pub(crate) const fn is_integer(&self) -> bool {
        self.exponent >= 0
    }

    /// Whether it is below zero.
    pub(crate) const fn is_negative(&self) -> bool {
        self.negative
    }

    /// Whether it is zero.
    pub(crate) const fn is_zero(&self) -> bool {
        self.mantissa.is_zero()
    }

    /// With the other sign.
    pub(crate) fn negate(&self) -> Self {
        Self::new(!self.negative, self.mantissa.clone(), self.exponent)
    }

    /// Without a sign.
    pub(crate) fn abs(&self) -> Self {
        Self {
            negative: false,
            ..self.clone()
        }
    }

    /// Both mantissas with the smaller exponent.
    fn aligned(&self, other: &Self) -> (Nat, Nat, i32) {
        let exponent = self.exponent.min(other.exponent);
        let scale = |number: &Self| {
            number
                .mantissa
                .multiply(&Nat::power_of_ten((number.exponent - exponent) as usize))
        };
        (scale(self), scale(other), exponent)
    }

    /// Whether adding the two needs no absurdly long mantissa.
    fn comparable(&self, other: &Self) -> bool {
        self.exponent.abs_diff(other.exponent) as usize <= 4 * MAX_DIGITS
    }

    pub(crate) fn add(&self, other: &Self) -> Option<Self> {
        if self.is_zero() || other.is_zero() {
            return Some(if self.is_zero() {
                other.clone()
            } else {
                self.clone()
            });
        }
        if !self.comparable(other) {
            return None;
        }
        let (a, b, exponent) = self.aligned(other);
        Some(if self.negative == other.negative {
            Self::new(self.negative, a.add(&b), exponent)
        } else if a >= b {
            Self::new(self.negative, a.subtract(&b), exponent)
        } else {
            Self::new(other.negative, b.subtract(&a), exponent)
        })
    }

    pub(crate) fn subtract(&self, other: &Self) -> Option<Self> {
        self.add(&other.negate())
    }

    pub(crate) fn multiply(&self, other: &Self) -> Option<Self> {
        let exponent = self.exponent + other.exponent;
        let product = Self::new(
            self.negative != other.negative,
            self.mantissa.multiply(&other.mantissa),
            exponent,
        );
        product.in_range()
    }

    /// `None` where the result is too large to be written.
    fn in_range(self) -> Option<Self> {
        (self.exponent.unsigned_abs() as usize <= 2 * MAX_DIGITS).then_some(self)
    }

    /// `None` for a division by zero.
    pub(crate) fn divide(&self, other: &Self) -> Option<Self> {
        if other.is_zero() {
            return None;
        }
        // Enough digits that the quotient has the full precision.
        let missing = PRECISION + 2 + other.mantissa.digit_count();
        let shift = missing.saturating_sub(self.mantissa.digit_count());
        let scaled = self.mantissa.multiply(&Nat::power_of_ten(shift));
        let quotient = divide_rounding(&scaled, &other.mantissa);
        Self::new(
            self.negative != other.negative,
            quotient,
            self.exponent - other.exponent - shift as i32,
        )
        .in_range()
    }

    /// The remainder that has the sign of `self`; `None` for a division by zero.
    pub(crate) fn modulo(&self, other: &Self) -> Option<Self> {
        if other.is_zero() || !self.comparable(other) {
            return None;
        }
        let (a, b, exponent) = self.aligned(other);
        Some(Self::new(self.negative, a.divide(&b).1, exponent))
    }

    /// The next integer below or the number itself.
    pub(crate) fn floor(&self) -> Self {
        if self.is_integer() {
            return self.clone();
        }
        let (whole, _) = self
            .mantissa
            .divide(&Nat::power_of_ten(self.exponent.unsigned_abs() as usize));
        let whole = if self.negative {
            whole.add(&Nat::from(1_u64))
        } else {
            whole
        };
        Self::new(self.negative, whole, 0)
    }

    /// The next integer above or the number itself.
    pub(crate) fn ceil(&self) -> Self {
        self.negate().floor().negate()
    }

    /// With exactly so many digits after the point, rounded half to even.
    pub(crate) fn to_fixed(&self, places: usize) -> String {
        let shift = self.exponent + places as i32;
        let scaled = if shift >= 0 {
            self.mantissa.multiply(&Nat::power_of_ten(shift as usize))
        } else {
            divide_rounding(
                &self.mantissa,
                &Nat::power_of_ten(shift.unsigned_abs() as usize),
            )
        };
        let mut digits = scaled.digits();
        if digits.len() <= places {
            digits = format!("{}{digits}", "0".repeat(places + 1 - digits.len()));
        }
        let (whole, fraction) = digits.split_at(digits.len() - places);
        let sign = if self.negative { "-" } else { "" };
        if places == 0 {
            format!("{sign}{whole}")
        } else {
            format!("{sign}{whole}.{fraction}")
        }
    }
}

/// The quotient rounded to the nearest, half to even.
fn divide_rounding(value: &Nat, divisor: &Nat) -> Nat {
    let (quotient, remainder) = value.divide(divisor);
    let twice = remainder.add(&remainder);
    let odd = quotient
        .digits()
        .as_bytes()
        .last()
        .is_some_and(|digit| digit % 2 == 1);
    match twice.cmp(divisor) {
        Ordering::Greater => quotient.add(&Nat::from(1_u64)),
        Ordering::Equal if odd => quotient.add(&Nat::from(1_u64)),
        _ => quotient,
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        let sign = |number: &Self| match (number.is_zero(), number.negative) {
            (true, _) => 0,
            (_, true) => -1,
            (_, false) => 1,
        };
        sign(self).cmp(&sign(other)).then_with(|| {
            // By magnitude first, so that far apart exponents need no long mantissas.
            let reach = |number: &Self| number.mantissa.digit_count() as i32 + number.exponent;
            let magnitude = reach(self).cmp(&reach(other)).then_with(|| {
                let (a, b, _) = self.aligned(other);
                a.cmp(&b)
            });
            if self.negative {
                magnitude.reverse()
            } else {
                magnitude
            }
        })
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Plain digits without an exponent, as HCL turns numbers into strings.
impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_fixed(self.exponent.min(0).unsigned_abs() as usize))
    }
}
