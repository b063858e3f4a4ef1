//! Whether a text is a cron expression of the dialect that periodic jobs use.
//!
//! Five fields (minute, hour, day of month, month, day of week), six with a year behind, seven with seconds before;
//! or a macro such as `@daily`. Source: jobspec.md §1.2, "Cron grammar".

const MACROS: [&str; 6] = [
    "@yearly",
    "@annually",
    "@monthly",
    "@weekly",
    "@daily",
    "@hourly",
];
const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const LONG_MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const LONG_DAYS: [&str; 7] = [
    "sunday",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
];

/// A field's name, its least and greatest number.
#[derive(Clone, Copy)]
struct Field(&'static str, u32, u32);

/// Why `spec` is no cron expression, or `None` if it is one.
pub fn cron_error(spec: &str) -> Option<String> {
    let spec = spec.trim();
    if spec.starts_with('@') {
        let known = MACROS.contains(&spec.to_lowercase().as_str());
        return (!known)
            .then(|| format!("unknown macro; one of {} is expected", MACROS.join(", ")));
    }
    let parts: Vec<&str> = spec.split_whitespace().collect();
    let minute = Field("minute", 0, 59);
    let base = [
        minute,
        Field("hour", 0, 23),
        Field("day of month", 1, 31),
        Field("month", 1, 12),
        Field("day of week", 0, 7),
    ];
    let year = Field("year", 1970, 2099);
    let mut fields = base.to_vec();
    match parts.len() {
        5 => {}
        6 => fields.push(year),
        7 => {
            fields.insert(0, Field("second", 0, 59));
            fields.push(year);
        }
        0..5 => return Some("missing field(s): at least 5 are needed".to_owned()),
        _ => return Some("too many fields: at most 7 are read".to_owned()),
    }
    parts.iter().zip(fields).find_map(|(part, field)| {
        part.split(',').find_map(|item| {
            (!item_fits(item, field))
                .then(|| format!("syntax error in {} field: '{part}'", field.0))
        })
    })
}

fn number(text: &str, field: Field) -> Option<u32> {
    let text = text.to_lowercase();
    let named = |short: &[&str], long: &[&str], first: u32| {
        short
            .iter()
            .position(|name| *name == text)
            .or_else(|| long.iter().position(|name| *name == text))
            .map(|at| at as u32 + first)
    };
    let value = match field.0 {
        "month" => named(&MONTHS, &LONG_MONTHS, 1),
        "day of week" => named(&DAYS, &LONG_DAYS, 0),
        _ => None,
    };
    let plain = || {
        text.bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| text.parse().ok())?
    };
    value
        .or_else(plain)
        .filter(|value| (field.1..=field.2).contains(value))
}

/// `*`, `a`, `a-b`, each maybe with `/step`, and the days' own forms.
fn item_fits(item: &str, field: Field) -> bool {
    let (range, step) = match item.split_once('/') {
        Some((range, step)) => (range, Some(step)),
        None => (item, None),
    };
    if step.is_some_and(|step| {
        step.parse::<u32>()
            .map_or(true, |step| step == 0 || step > field.2)
    }) {
        return false;
    }
    if range == "*" || (range == "?" && field.0.starts_with("day")) {
        return true;
    }
    if let Some((from, to)) = range.split_once('-') {
        return matches!((number(from, field), number(to, field)), (Some(from), Some(to)) if from <= to || field.0 == "day of week");
    }
    if number(range, field).is_some() {
        return true;
    }
    if step.is_some() {
        return false;
    }
    match field.0 {
        "day of month" => {
            matches!(range, "L" | "l" | "LW" | "lw" | "WL")
                || range
                    .strip_suffix(['W', 'w'])
                    .is_some_and(|day| number(day, field).is_some())
        }
        "day of week" => {
            range
                .strip_suffix(['L', 'l'])
                .is_some_and(|day| number(day, field).is_some())
                || range.split_once('#').is_some_and(|(day, nth)| {
                    number(day, field).is_some() && matches!(nth, "1" | "2" | "3" | "4" | "5")
                })
        }
        _ => false,
    }
}
