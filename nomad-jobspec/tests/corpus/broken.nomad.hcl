variable "a" { default = 
job "x" {
  priorty = "high"
  group "g" {
    count = [1
  }
  region = "a ${b
}
locals {
  a = local.b
  b = local.a
}
job "y" {
