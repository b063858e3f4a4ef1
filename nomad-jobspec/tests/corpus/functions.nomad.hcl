locals {
  l = [
    abs(-1.5), ceil(1.2), floor(-1.2), log(16, 2), max(1, 2, 3), min(1, 2), parseint("ff", 16), pow(2, 10), signum(-3),
    chomp("a\n"), format("%05.2f %q %v %#v %s", 3.14159, "x", [1], {a = 1}, true), formatlist("%s-%s", ["a", "b"], "c"),
    indent(2, "a\nb"), join("-", ["a", "b"]), lower("ABC"), regex_replace("aXb", "[A-Z]", "-$0-"), replace("aa", "a", "b"),
    reverse("abc"), split(",", "a,b"), strlen("ünï"), strrev("abc"), substr("hello", 1, 3), title("a b"), trim("xax", "x"),
    trimprefix("abc", "a"), trimspace("  a "), trimsuffix("abc", "c"), upper("abc"),
    chunklist([1, 2, 3], 2), coalesce("", "a"), coalescelist([], [1]), compact(["a", ""]), concat([1], [2]),
    contains(["a"], "a"), distinct([1, 1, 2]), element([1, 2], 5), flatten([[1], [2, [3]]]), index(["a", "b"], 1),
    keys({ b = 1, a = 2 }), length(["abc"]), lookup({ a = 1 }, "b", 2), merge({ a = 1 }, { b = 2 }), range(3), range(1, 9, 2),
    setintersection(["a"], ["a", "b"]), setproduct(["a"], ["b", "c"]), setunion(["a"], ["b"]), slice([1, 2, 3], 1, 2),
    sort(["b", "a"]), values({ a = 1 }), zipmap(["a"], [1]),
    base64decode("aGk="), base64encode("hi"), csvdecode("a,b\n1,2\n"), jsondecode("{\"a\": [1, null]}"),
    jsonencode({ a = [1, "<b>"] }), urlencode("a b&c"), yamldecode("a: [1, 'x']\nb: |\n  t\n"), yamlencode({ a = [1, { b = null }] }),
    formatdate("DD MMM YYYY hh:mm ZZZ", "2024-02-29T13:37:00Z"), timeadd("2024-02-29T13:37:00Z", "36h"),
    md5("a"), sha1("a"), sha256("a"), sha512("a"), uuidv5("dns", "example.org"),
    cidrhost("10.0.0.0/8", 5), cidrnetmask("10.0.0.0/12"), cidrsubnet("10.0.0.0/8", 8, 2), cidrsubnets("10.0.0.0/8", 4, 4),
    can(1 / 0), try(a.b.c, 1), convert("1", number),
  ]
}
job "functions" {
  meta {
    all = jsonencode(local.l)
  }
}
