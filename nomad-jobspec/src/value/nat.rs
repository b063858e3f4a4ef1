//! Natural numbers of any size, in base 10^9: just enough for exact decimals and network arithmetic.

use std::cmp::Ordering;

/// The base of a limb.
const BASE: u64 = 1_000_000_000;

/// A natural number; limbs from the least, none of them leading zeros.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash)]
pub(crate) struct Nat(Vec<u32>);

impl From<u64> for Nat {
    fn from(mut value: u64) -> Self {
        let mut limbs = Vec::new();
        while value > 0 {
            limbs.push((value % BASE) as u32);
            value /= BASE;
        }
        Self(limbs)
    }
}

impl From<u128> for Nat {
    fn from(mut value: u128) -> Self {
        let mut limbs = Vec::new();
        while value > 0 {
            limbs.push((value % u128::from(BASE)) as u32);
            value /= u128::from(BASE);
        }
        Self(limbs)
    }
}

impl Ord for Nat {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0
            .len()
            .cmp(&other.0.len())
            .then_with(|| self.0.iter().rev().cmp(other.0.iter().rev()))
    }
}

impl PartialOrd for Nat {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Nat {
    pub(crate) const ZERO: Self = Self(Vec::new());

    pub(crate) const fn is_zero(&self) -> bool {
        self.0.is_empty()
    }

    fn trimmed(mut limbs: Vec<u32>) -> Self {
        while limbs.last() == Some(&0) {
            limbs.pop();
        }
        Self(limbs)
    }

    /// From decimal digits; `None` if anything else is among them.
    pub(crate) fn from_digits(digits: &str) -> Option<Self> {
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let limbs = digits
            .as_bytes()
            .rchunks(9)
            .map(|chunk| {
                chunk
                    .iter()
                    .fold(0_u32, |limb, digit| limb * 10 + u32::from(digit - b'0'))
            })
            .collect();
        Some(Self::trimmed(limbs))
    }

    /// Decimal digits, "0" for zero.
    pub(crate) fn digits(&self) -> String {
        use std::fmt::Write as _;
        let Some((first, rest)) = self.0.split_last() else {
            return "0".to_owned();
        };
        let mut text = first.to_string();
        for limb in rest.iter().rev() {
            let _ = write!(text, "{limb:09}");
        }
        text
    }

    /// How many decimal digits it has; none for zero.
    pub(crate) fn digit_count(&self) -> usize {
        match self.0.split_last() {
            None => 0,
            Some((first, rest)) => first.ilog10() as usize + 1 + rest.len() * 9,
        }
    }

    pub(crate) fn add(&self, other: &Self) -> Self {
        let mut limbs = Vec::with_capacity(self.0.len().max(other.0.len()) + 1);
        let mut carry = 0_u64;
        for at in 0..self.0.len().max(other.0.len()) {
            let sum = carry + self.limb(at) + other.limb(at);
            limbs.push((sum % BASE) as u32);
            carry = sum / BASE;
        }
        limbs.push(carry as u32);
        Self::trimmed(limbs)
    }

    fn limb(&self, at: usize) -> u64 {
        self.0.get(at).copied().map_or(0, u64::from)
    }

    /// `self - other`, which must not be greater.
    pub(crate) fn subtract(&self, other: &Self) -> Self {
        let mut limbs = Vec::with_capacity(self.0.len());
        let mut borrow = 0_u64;
        for at in 0..self.0.len() {
            let take = other.limb(at) + borrow;
            let have = self.limb(at);
            let (difference, next) = if have >= take {
                (have - take, 0)
            } else {
                (have + BASE - take, 1)
            };
            limbs.push(difference as u32);
            borrow = next;
        }
        Self::trimmed(limbs)
    }

    pub(crate) fn multiply(&self, other: &Self) -> Self {
        let mut limbs = vec![0_u32; self.0.len() + other.0.len() + 1];
        for (i, a) in self.0.iter().enumerate() {
            let mut carry = 0_u64;
            for j in 0..=other.0.len() {
                let sum = u64::from(limbs[i + j]) + u64::from(*a) * other.limb(j) + carry;
                limbs[i + j] = (sum % BASE) as u32;
                carry = sum / BASE;
            }
        }
        Self::trimmed(limbs)
    }

    /// Quotient and remainder; `other` must not be zero.
    pub(crate) fn divide(&self, other: &Self) -> (Self, Self) {
        if let [single] = other.0[..] {
            let mut remainder = 0_u64;
            let mut limbs = vec![0_u32; self.0.len()];
            for (at, limb) in self.0.iter().enumerate().rev() {
                let value = remainder * BASE + u64::from(*limb);
                limbs[at] = (value / u64::from(single)) as u32;
                remainder = value % u64::from(single);
            }
            return (Self::trimmed(limbs), Self::from(remainder));
        }
        // Long division, each limb of the quotient by bisection.
        let mut remainder = Self::ZERO;
        let mut limbs = vec![0_u32; self.0.len()];
        for at in (0..self.0.len()).rev() {
            remainder.0.insert(0, self.0[at]);
            remainder = Self::trimmed(remainder.0);
            let (mut low, mut high) = (0_u64, BASE - 1);
            while low < high {
                let middle = (low + high).div_ceil(2);
                if other.multiply(&Self::from(middle)) <= remainder {
                    low = middle;
                } else {
                    high = middle - 1;
                }
            }
            limbs[at] = low as u32;
            remainder = remainder.subtract(&other.multiply(&Self::from(low)));
        }
        (Self::trimmed(limbs), remainder)
    }

    /// Ten to a power.
    pub(crate) fn power_of_ten(exponent: usize) -> Self {
        let mut limbs = vec![0_u32; exponent / 9];
        limbs.push(10_u32.pow((exponent % 9) as u32));
        Self(limbs)
    }

    /// The number, if it is small enough.
    pub(crate) fn to_u128(&self) -> Option<u128> {
        self.0.iter().rev().try_fold(0_u128, |value, limb| {
            value
                .checked_mul(u128::from(BASE))?
                .checked_add(u128::from(*limb))
        })
    }

    /// Digits in a base of at most 62, with digits, small letters, capitals.
    pub(crate) fn to_base(&self, base: u32) -> String {
        const DIGITS: &[u8; 62] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
        let divisor = Self::from(u64::from(base));
        let mut value = self.clone();
        let mut text = Vec::new();
        while !value.is_zero() {
            let (quotient, remainder) = value.divide(&divisor);
            text.push(DIGITS[remainder.limb(0) as usize]);
            value = quotient;
        }
        if text.is_empty() {
            text.push(b'0');
        }
        text.reverse();
        String::from_utf8_lossy(&text).into_owned()
    }

    /// From digits in a base of at most 62, as [`Self::to_base`] writes them; for bases up to 36 any case will do.
    pub(crate) fn from_base(text: &str, base: u32) -> Option<Self> {
        let factor = Self::from(u64::from(base));
        let mut value = Self::ZERO;
        for c in text.chars() {
            let digit = match c {
                '0'..='9' => c as u32 - '0' as u32,
                'a'..='z' => c as u32 - 'a' as u32 + 10,
                'A'..='Z' if base <= 36 => c as u32 - 'A' as u32 + 10,
                'A'..='Z' => c as u32 - 'A' as u32 + 36,
                _ => return None,
            };
            if digit >= base {
                return None;
            }
            value = value.multiply(&factor).add(&Self::from(u64::from(digit)));
        }
        if text.is_empty() { None } else { Some(value) }
    }
}
