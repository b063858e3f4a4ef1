job "shop" {
  region      = "global"
  datacenters = ["eu-*", "us-1"]
  node_pool   = "default"
  type        = "service"
  priority    = 60
  all_at_once = false

  constraint {
    attribute = "${attr.kernel.name}"
    value     = "linux"
  }
  constraint {
    distinct_property = "${meta.rack}"
    value             = 2
  }
  affinity {
    attribute = "${node.class}"
    value     = "fast"
    weight    = -30
  }
  spread {
    attribute = "${node.datacenter}"
    weight    = 80
    target "eu-1" {
      percent = 70
    }
  }
  update {
    max_parallel     = 2
    canary           = 1
    min_healthy_time = "15s"
    auto_promote     = true
  }
  migrate {
    healthy_deadline = "2m"
  }
  reschedule {
    delay          = "30s"
    delay_function = "fibonacci"
    max_delay      = "1h"
    unlimited      = true
  }
  ui {
    description = "the *shop*"
    link {
      label = "docs"
      url   = "https://example.org"
    }
  }
  meta {
    owner = "team-a"
  }

  group "web" {
    count = 3
    network {
      mode = "bridge"
      port "http" {
        static = 8080
        to     = 80
      }
      port "admin" {}
      dns {
        servers = ["10.0.0.1"]
      }
      cni {
        args = { "a.b" = "c" }
      }
    }
    volume "data" {
      type      = "host"
      source    = "data"
      read_only = true
    }
    restart {
      attempts = 3
      interval = "10m"
      delay    = "15s"
      mode     = "delay"
    }
    ephemeral_disk {
      size = 500
    }
    disconnect {
      lost_after = "1h"
    }
    scaling {
      min = 1
      max = 5
      policy {
        check "cpu" {
          strategy "target-value" {
            target = 70.5
          }
        }
      }
    }
    service {
      name = "web-${NOMAD_ALLOC_INDEX}"
      port = "http"
      tags = ["a", "b"]
      check {
        type     = "http"
        path     = "/health"
        interval = "10s"
        timeout  = "2s"
        header {
          Accept = ["text/plain", "*/*"]
        }
        check_restart {
          limit = 3
        }
      }
      connect {
        sidecar_service {
          proxy {
            upstreams {
              destination_name = "db"
              local_bind_port  = 5432
            }
            transparent_proxy {
              exclude_outbound_ports = [22, 80]
            }
          }
        }
      }
    }
    task "server" {
      driver       = "docker"
      leader       = true
      kill_timeout = "20s"
      config {
        image  = "shop/web:1.4"
        labels = { team = "a" }
        mount {
          type   = "tmpfs"
          target = "/scratch"
        }
        mount {
          type = "bind"
        }
      }
      env {
        PORT = 8080
        NODE = "${node.unique.name}-$${literal}"
      }
      template {
        data        = <<-EOT
          listen {{ env "NOMAD_ADDR_http" }}
            indented
        EOT
        destination = "local/app.conf"
        change_mode = "script"
        change_script {
          command = "/bin/reload"
        }
        wait {
          min = "5s"
          max = "1m"
        }
      }
      artifact {
        source = "https://example.org/a.tgz"
        options {
          checksum = "md5:d41d8cd98f00b204e9800998ecf8427e"
        }
      }
      identity {
        env  = true
        file = true
      }
      identity {
        name = "aws"
        aud  = ["sts"]
        ttl  = "1h"
      }
      vault {
        role = "web"
      }
      secret "db" {
        provider = "nomad"
        path     = "db/creds"
      }
      action "flush" {
        command = "/bin/flush"
        args    = ["--all"]
      }
      resources {
        cpu        = 500
        memory     = 256
        memory_max = 512
        device "nvidia/gpu" {
          count = 1
        }
        numa {
          affinity = "none"
        }
      }
      volume_mount {
        volume      = "data"
        destination = "/data"
      }
      logs {
        max_files = 3
      }
      lifecycle {
        hook    = "poststart"
        sidecar = true
      }
    }
  }
}
