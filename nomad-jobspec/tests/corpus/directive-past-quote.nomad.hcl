variable "image" {
  type        = string
  default     = "web:1"
  description = "what to run"
  validation {
    condition     = strlen(var.image) > 2
    error_message = "An image is needed."
  }
}
variable "ports" {
  type    = list(object({ name = string, port = number }))
  default = [{ name = "a", port = 1 }, { name = "b", port = "2" }]
}
variable "zones" {
  type    = map(set(string))
  default = { eu = ["a", "b"], us = [] }
}
variables {
  count = 2
  flag  = true
  pair  = ["x", 1, null]
}
locals {
  names  = [for p in var.ports : upper(p.name) if p.port > 0]
  byname = { for p in var.ports : p.name => p.port... }
  first  = try(local.names[5], local.names[0], "none")
  text   = "%{ for n in local.names ~}\ local.names[0], "none")n${n}\n%{ endfor ~}"
  nested = { a = { b = [1, 2, { c = local.first }] } }
  sum    = 1 + 2 * 3 - -4 / 2 % 5
  cond   = var.flag && !false || 1 >= 2 ? "yes" : "no"
  splat  = var.ports[*].name
  legacy = var.ports.*.port
}
job "vars" {
  meta {
    a = join(",", local.names)
    b = jsonencode(local.byname)
    c = local.nested.a.b[2].c
    d = local.text
    e = "${local.cond}-${local.sum}"
    f = local.splat[1]
  }
  group "g" {
    count = var.count
    task "t" {
      driver = "exec"
      config {
        command = var.image
        args    = concat(local.splat, ["${NOMAD_TASK_DIR}/x"])
      }
    }
  }
}
