# A batch job runs to its end: three workers, each counts to ten. See the result with
#   nomad job status batch-example
#   nomad alloc logs -job batch-example
job "batch-example" {
  type = "batch"

  group "workers" {
    count = 3

    # A worker that fails is started again here, twice at most.
    restart {
      attempts = 2
      delay    = "1s"
      mode     = "fail"
    }

    task "count" {
      driver = "raw_exec"

      config {
        command = "/bin/sh"
        args    = ["-c", "for i in 1 2 3 4 5 6 7 8 9 10; do echo \"worker $NOMAD_ALLOC_INDEX: $i\"; done"]
      }

      resources {
        cpu    = 20
        memory = 16
      }
    }
  }
}
