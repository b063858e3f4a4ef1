job "gw" {
  multiregion {
    strategy {
      max_parallel = 1
      on_failure   = "fail_all"
    }
    region "west" {
      count       = 2
      datacenters = ["w1"]
      meta { a = "b" }
    }
  }
  group "g" {
    consul {
      partition = "p"
    }
    service {
      name = "gw"
      connect {
        gateway {
          proxy {
            connect_timeout = "500ms"
            envoy_gateway_bind_addresses "all" {
              address = "0.0.0.0"
              port    = 8080
            }
            config {
              a = { b = 1 }
            }
          }
          ingress {
            tls {
              enabled = true
              sds { cluster_name = "c" }
            }
            listener {
              port     = 8080
              protocol = "http"
              service {
                name  = "web"
                hosts = ["*"]
                request_headers {
                  add { X-A = "b" }
                  remove = ["X-B"]
                }
                max_connections = 10
              }
            }
          }
        }
        sidecar_task {
          driver = "docker"
          resources { cpu = 100 }
        }
      }
    }
    service {
      name = "term"
      connect {
        gateway {
          terminating {
            service {
              name    = "db"
              ca_file = "/ca.pem"
            }
          }
        }
      }
    }
    service {
      name = "mesh"
      connect {
        gateway {
          mesh {}
        }
      }
    }
  }
}
