{
  "//": "the same in JSON",
  "variable": { "n": { "type": "number", "default": 2 } },
  "locals": { "a": ["x", "${var.n}"] },
  "job": {
    "web": {
      "datacenters": ["dc1"],
      "group": [
        { "g": { "count": "${var.n}", "network": { "port": { "http": { "to": 80 } } },
          "task": { "t": { "driver": "exec", "config": { "args": "${local.a}", "nested": { "a": [1, 2.5, null, true] } },
            "env": { "A": "${NOMAD_DC}" } } } } }
      ],
      "dynamic": { "constraint": [{ "for_each": ["a", "b"], "content": { "attribute": "${constraint.value}", "value": "x" } }] }
    }
  }
}
