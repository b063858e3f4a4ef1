# A first job: one task that greets every few seconds. `cargo xtask quickstart` runs it;
# by hand it is `nomad job run examples/hello.nomad.hcl`.
job "hello" {
  type = "service"

  group "greeter" {
    count = 1

    # An allocation counts as healthy when its tasks have run for a second;
    # the deployment is then successful, and `nomad job run` comes back.
    update {
      health_check     = "task_states"
      min_healthy_time = "1s"
      healthy_deadline = "30s"
    }

    task "greet" {
      # raw_exec starts the command as it is, without isolation.
      driver = "raw_exec"

      config {
        command = "/bin/sh"
        args    = ["-c", "n=0; while :; do n=$((n+1)); echo \"hello number $n from $NOMAD_ALLOC_NAME\"; sleep 2; done"]
      }

      # MHz and MiB that the scheduler sets aside.
      resources {
        cpu    = 20
        memory = 16
      }
    }
  }
}
