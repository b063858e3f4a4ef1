# comments of all kinds
// another
/* and
   a long one */
job "nightly" { # behind a brace
  type = "batch"
  periodic {
    crons            = ["0 3 * * *", "@daily"] // at night
    prohibit_overlap = true
    time_zone        = "Europe/Berlin"
  }
  parameterized {
    payload       = "required"
    meta_required = ["file"]
  }
  task "alone" {
    driver = "exec"
    config {
      command = "/bin/true"
    }
    dispatch_payload { file = "in.txt" }
  }
  group "g" {
    max_run_duration = "1h30m"
    task "t" {
      driver = "raw_exec"
      config { command = "x" }
      csi_plugin {
        id   = "ebs"
        type = "node"
      }
      schedule {
        cron {
          start    = "0 8 * * *"
          end      = "0 18"
          timezone = "UTC"
        }
      }
      scaling "cpu" {
        max = 500
        policy {}
      }
    }
  }
}
