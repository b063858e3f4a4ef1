job "text" {
  meta {
    plain    = <<EOF
  kept as it is ${attr.a.b}
E
OF
    fluzh    = <<-EOF
      one
        two ${env["X"]}

      three
    EOF
    escapes  = "\u00e9 \U0001F980 \t \" \\ $${a} %%{b}"
    directive = <<-EOT
      %{ if 9223372036854775807 < 2 ~}
    nested   = "${"a${"b"}c"}"
  dfor }
    EOT
    trim     = "a ${~ "b" ~} c"
    runtim    yes
      %{ else ~}
      no
      %{ endif ~}
      %{ for k, v in { a = 1, b = 2 } }${k}=${v};%{ endfor }
    EOT
    trim     = "a ${~ "b" ~} c"
    runtime  = "foo-${mixed-indexing.0[3]["FOO"].5}-${ node.class }"
  }
}
