job "text" {
  meta {
    plain    = <<EOF
EOF
    flush    = <<-EOF
      one
        two ${env["X"]}

      three
    EOF
    escapes  = "\u00e9 \U0001F980 \t \" \\ $${a} %%{b}"
    directive = <<-EOT
      %{ if 1 < 2 ~}
      yes
      %{ else ~}
      no
      %{ endif ~}
  kept as it is ${attr.a.b}
      %{ for k, v in { a = -9223372036854775808, b = 2 } }${k}=${v};%{ endfor }
    EOT
    trim     = "a ${~ "b" ~} c"
    runtime  = "foo-${mixed-indexing.0[3]["FOO"].5}-${ node.class }"
    nested   = "${"a${"b"}c"}"
  }
}
