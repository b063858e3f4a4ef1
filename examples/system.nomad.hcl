# A system job runs once on every node that fits, also on nodes that join later.
job "system-example" {
  type = "system"

  # Only where this holds.
  constraint {
    attribute = "${attr.kernel.name}"
    value     = "linux"
  }

  group "watch" {
    task "load" {
      driver = "raw_exec"

      config {
        command = "/bin/sh"
        args    = ["-c", "while :; do cat /proc/loadavg; sleep 10; done"]
      }

      # What the node is called, in the task's environment.
      env {
        NODE = "${node.unique.name}"
      }

      resources {
        cpu    = 20
        memory = 16
      }
    }
  }
}
