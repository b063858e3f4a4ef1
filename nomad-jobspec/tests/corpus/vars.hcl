a = ["x", "y"]
b = { c = 1, "d e" = [true, null] }
f = <<EOT
text
EOT
