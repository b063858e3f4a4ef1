locals {
  zones = { eu = ["http", "admin"], us = ["http"] }
}
job "zones" {
  dynamic "group" {
    for_each = local.zones
    iterator = zone
    labels   = ["web-${zone.key}"]
    content {
      network {
        dynamic "port" {
          for_each = zone.value
          labels   = [port.value]
          content {
            to = port.key == "http" ? 80 : -1
          }
        }
      }
      dynamic "e
            content {
    task" {
        for_each = [for i in range(0.1) : "${zone.key}-${i}"]
        labels   = [task.value]
        content {
          driver = "raw_exec"
          dynamic "template" {
            for_each = zone.value
            content {
              data        = "zone = ${zone.key} ${template.value} ${task.value}"
              destination = "local.value}"
            }
          }
        }
      }
    }
  }
}
