//! Exact numbers, conversions and common types.

use super::{Nat, Number, Type, Value, convert, unify};

fn number(text: &str) -> Number {
    Number::parse(text).unwrap()
}

#[test]
fn decimals_are_exact() {
    assert_eq!(
        number("0.1").add(&number("0.2")).unwrap().to_string(),
        "0.3"
    );
    assert_eq!(number("1e3").to_string(), "1000");
    assert_eq!(number("-12.50").to_string(), "-12.5");
    assert_eq!(
        number("123456789012345678901234567890").to_string(),
        "123456789012345678901234567890"
    );
    assert_eq!(number("7").divide(&number("2")).unwrap().to_string(), "3.5");
    assert_eq!(
        &number("1").divide(&number("3")).unwrap().to_string()[..12],
        "0.3333333333"
    );
    assert_eq!(number("-7").modulo(&number("3")).unwrap().to_string(), "-1");
    assert_eq!(number("2.5").to_fixed(0), "2");
    assert_eq!(number("3.14159").to_fixed(2), "3.14");
    assert_eq!(number("0.005").to_fixed(2), "0.00");
    assert_eq!(number("-0.5").floor().to_string(), "-1");
    assert_eq!(number("-0.5").ceil().to_string(), "0");
    assert!(number("1").divide(&Number::ZERO).is_none());
    assert!(Number::parse("1.").is_none());
    assert!(Number::parse(&"9".repeat(501)).is_none());
}

#[test]
fn numbers_compare_by_value() {
    assert!(number("10") > number("9.99"));
    assert!(number("-10") < number("-9.99"));
    assert!(number("1e400") > number("1e-400"));
    assert_eq!(number("1.0"), number("1"));
}

#[test]
fn naturals_divide_and_change_base() {
    let big = Nat::from_digits("340282366920938463463374607431768211455").unwrap();
    assert_eq!(big.to_u128(), Some(u128::MAX));
    let (quotient, remainder) = big.divide(&Nat::from_digits("18446744073709551616").unwrap());
    assert_eq!(quotient.digits(), "18446744073709551615");
    assert_eq!(remainder.digits(), "18446744073709551615");
    assert_eq!(big.to_base(16), "f".repeat(32));
    assert_eq!(Nat::from_base("FF", 16).unwrap().digits(), "255");
    assert!(Nat::from_base("2", 2).is_none());
}

#[test]
fn scalars_convert_both_ways() {
    let text = Value::from("5");
    assert_eq!(
        convert(&text, &Type::Number).unwrap(),
        Value::Number(Number::from(5_i64))
    );
    assert_eq!(
        convert(&Value::Bool(true), &Type::String).unwrap(),
        Value::from("true")
    );
    assert_eq!(
        convert(&Value::from("1"), &Type::Bool).unwrap(),
        Value::Bool(true)
    );
    assert_eq!(
        convert(&Value::from("high"), &Type::Number)
            .unwrap_err()
            .to_string(),
        "a number is required"
    );
    let list = Value::tuple(vec![Value::from("a"), Value::tuple(vec![])]);
    let error = convert(&list, &Type::List(Type::String.into())).unwrap_err();
    assert_eq!(error.to_string(), "element 1: string required");
}

#[test]
fn common_types_are_found() {
    assert_eq!(unify(&[Type::Number, Type::String]), Some(Type::String));
    assert_eq!(unify(&[Type::Number, Type::Bool]), None);
    assert_eq!(
        unify(&[Type::Tuple(vec![Type::Number]), Type::Tuple(vec![])]),
        Some(Type::List(Type::Number.into()))
    );
}
