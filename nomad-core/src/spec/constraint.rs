//! Where a job may, should and should evenly run.

use super::json::api_struct;

api_struct! {
    /// A condition that a node or device must meet.
    pub struct Constraint {
        pub ltarget: String = "LTarget",
        pub operand: String = "Operand",
        pub rtarget: String = "RTarget",
    }
}

api_struct! {
    /// A condition that a node or device should meet, or with a negative weight should not.
    pub struct Affinity {
        pub ltarget: String = "LTarget",
        pub operand: String = "Operand",
        pub rtarget: String = "RTarget",
        /// -100..=100, not 0.
        pub weight: Option<i8> = "Weight",
    }
}

api_struct! {
    /// Spreads allocations over the values of an attribute.
    pub struct Spread {
        pub attribute: String = "Attribute",
        pub targets: Option<Vec<SpreadTarget>> = "SpreadTarget",
        /// 1..=100.
        pub weight: Option<i8> = "Weight",
    }
}

api_struct! {
    /// The share of allocations that one value should get.
    pub struct SpreadTarget {
        pub percent: u8 = "Percent",
        pub value: String = "Value",
    }
}
