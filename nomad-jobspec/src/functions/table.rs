//! The table of functions.

use super::args::{Args, Outcome};
use super::{collection, crypto, csv, date, encoding, files, format, ip, numeric, string, yaml};

/// A function and what it takes.
pub(super) struct Entry {
    pub(super) name: &'static str,
    pub(super) least: usize,
    pub(super) most: Option<usize>,
    /// Whether arguments may be null.
    pub(super) nulls: bool,
    pub(super) run: fn(&Args<'_>) -> Outcome,
}

pub(super) const fn entry(
    name: &'static str,
    least: usize,
    most: usize,
    run: fn(&Args<'_>) -> Outcome,
) -> Entry {
    Entry {
        name,
        least,
        most: Some(most),
        nulls: false,
        run,
    }
}

const fn many(name: &'static str, least: usize, run: fn(&Args<'_>) -> Outcome) -> Entry {
    Entry {
        name,
        least,
        most: None,
        nulls: false,
        run,
    }
}

const fn with_nulls(entry: Entry) -> Entry {
    Entry {
        nulls: true,
        ..entry
    }
}

/// All functions but `can`, `convert`, `templatefile` and `try`, sorted by name.
static TABLE: [Entry; 80] = [
    entry("abs", 1, 1, numeric::abs),
    entry("abspath", 1, 1, files::abspath),
    entry("base64decode", 1, 1, encoding::base64decode),
    entry("base64encode", 1, 1, encoding::base64encode),
    entry("basename", 1, 1, files::basename),
    entry("bcrypt", 1, 2, crypto::bcrypt),
    entry("ceil", 1, 1, numeric::ceil),
    entry("chomp", 1, 1, string::chomp),
    entry("chunklist", 2, 2, collection::chunklist),
    entry("cidrhost", 2, 2, ip::cidrhost),
    entry("cidrnetmask", 1, 1, ip::cidrnetmask),
    entry("cidrsubnet", 3, 3, ip::cidrsubnet),
    many("cidrsubnets", 1, ip::cidrsubnets),
    with_nulls(many("coalesce", 1, collection::coalesce)),
    with_nulls(many("coalescelist", 1, collection::coalescelist)),
    entry("compact", 1, 1, collection::compact),
    many("concat", 1, collection::concat),
    with_nulls(entry("contains", 2, 2, collection::contains)),
    entry("csvdecode", 1, 1, csv::csvdecode),
    entry("dirname", 1, 1, files::dirname),
    entry("distinct", 1, 1, collection::distinct),
    entry("element", 2, 2, collection::element),
    entry("file", 1, 1, files::file),
    entry("filebase64", 1, 1, files::filebase64),
    entry("fileexists", 1, 1, files::fileexists),
    entry("fileset", 2, 2, files::fileset),
    entry("flatten", 1, 1, collection::flatten),
    entry("floor", 1, 1, numeric::floor),
    with_nulls(many("format", 1, format::format)),
    entry("formatdate", 2, 2, date::formatdate),
    with_nulls(many("formatlist", 1, format::formatlist)),
    entry("indent", 2, 2, string::indent),
    entry("index", 2, 2, collection::index),
    many("join", 1, string::join),
    entry("jsondecode", 1, 1, encoding::jsondecode),
    with_nulls(entry("jsonencode", 1, 1, encoding::jsonencode)),
    entry("keys", 1, 1, collection::keys),
    entry("length", 1, 1, collection::length),
    entry("log", 2, 2, numeric::log),
    with_nulls(entry("lookup", 3, 3, collection::lookup)),
    entry("lower", 1, 1, string::lower),
    many("max", 1, numeric::max),
    entry("md5", 1, 1, crypto::md5),
    with_nulls(many("merge", 0, collection::merge)),
    many("min", 1, numeric::min),
    entry("parseint", 2, 2, numeric::parseint),
    entry("pathexpand", 1, 1, files::pathexpand),
    entry("pow", 2, 2, numeric::pow),
    entry("range", 1, 3, collection::range),
    entry("regex_replace", 3, 3, string::regex_replace),
    entry("replace", 3, 3, string::replace),
    entry("reverse", 1, 1, string::strrev),
    entry("rsadecrypt", 2, 2, crypto::rsadecrypt),
    many("setintersection", 1, collection::setintersection),
    many("setproduct", 1, collection::setproduct),
    many("setunion", 1, collection::setunion),
    entry("sha1", 1, 1, crypto::sha1),
    entry("sha256", 1, 1, crypto::sha256),
    entry("sha512", 1, 1, crypto::sha512),
    entry("signum", 1, 1, numeric::signum),
    entry("slice", 3, 3, collection::slice),
    entry("sort", 1, 1, collection::sort),
    entry("split", 2, 2, string::split),
    entry("strlen", 1, 1, string::strlen),
    entry("strrev", 1, 1, string::strrev),
    entry("substr", 3, 3, string::substr),
    entry("timeadd", 2, 2, date::timeadd),
    entry("title", 1, 1, string::title),
    entry("trim", 2, 2, string::trim),
    entry("trimprefix", 2, 2, string::trimprefix),
    entry("trimspace", 1, 1, string::trimspace),
    entry("trimsuffix", 2, 2, string::trimsuffix),
    entry("upper", 1, 1, string::upper),
    entry("urlencode", 1, 1, encoding::urlencode),
    entry("uuidv4", 0, 0, crypto::uuidv4),
    entry("uuidv5", 2, 2, crypto::uuidv5),
    entry("values", 1, 1, collection::values),
    entry("yamldecode", 1, 1, yaml::yamldecode),
    with_nulls(entry("yamlencode", 1, 1, yaml::yamlencode)),
    entry("zipmap", 2, 2, collection::zipmap),
];

/// The function of a name.
pub(super) fn find(name: &str) -> Option<&'static Entry> {
    TABLE
        .binary_search_by(|entry| entry.name.cmp(name))
        .ok()
        .map(|at| &TABLE[at])
}

/// The names of all functions.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    TABLE
        .iter()
        .map(|entry| entry.name)
        .chain(["can", "convert", "templatefile", "try"])
}
