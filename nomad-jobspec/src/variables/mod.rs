//! Variables and locals: what is declared, which value wins, what must hold.
//!
//! From weak to strong: the default, `NOMAD_VAR_name` of the environment, variable files in their order, `-var`.
//! Source: jobspec.md §2.2, §2.3.

mod declare;
mod locals;
mod resolve;
mod type_expr;

pub(crate) use self::declare::{Declaration, References, declare};
pub(crate) use self::locals::resolve_locals;
pub(crate) use self::resolve::{Given, Text, resolve};
pub(crate) use self::type_expr::type_expr;
