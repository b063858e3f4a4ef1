# A periodic job starts a batch job on a schedule. Do not wait for it:
#   nomad job periodic force periodic-example
job "periodic-example" {
  type = "batch"

  periodic {
    crons            = ["*/5 * * * *"] # every five minutes
    time_zone        = "UTC"
    prohibit_overlap = true # never two at the same time
  }

  group "clock" {
    task "date" {
      driver = "raw_exec"

      config {
        command = "/bin/date"
      }

      resources {
        cpu    = 20
        memory = 16
      }
    }
  }
}
