job "parts" {
  include "i" {
    a = "x"
  }
  group "g" {
    dynamic "task" {
      for_each = ["a"]
      labels   = [task.value]
      content {
        driver = "exec"
        include "i" { a = task.value }
      }
    }
  }
  meta {
    t = templatefile("t", { a = 1 })















































































































































  }
}
