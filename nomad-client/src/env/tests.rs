//! The environment of a whole task, and configurations that refer to it.

use nomad_core::Uuid;
use nomad_core::alloc::{
    AllocNetworkStatus, AllocatedCpu, AllocatedMemory, AllocatedPort, AllocatedTaskResources,
    Allocation,
};
use nomad_core::job::{AnyMap, Job, NetworkResource, Parameterized, Port, Task, TaskGroup};
use serde_json::json;

use super::builder::cpu_list;
use super::*;

fn strings(list: &[(&str, &str)]) -> StringMap {
    list.iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn node() -> Arc<NodeView> {
    Arc::new(NodeView {
        id: "51f72d6d-08cb-7d35-a65c-7a70380fa0b9".to_owned(),
        name: "vm".to_owned(),
        datacenter: "dc1".to_owned(),
        region: "global".to_owned(),
        class: "big".to_owned(),
        pool: "default".to_owned(),
        attributes: strings(&[
            ("kernel.name", "linux"),
            ("cpu.numcores", "2"),
            ("platform.aws.placement.availability-zone", "eu-1a"),
        ]),
        meta: strings(&[("rack", "r0"), ("odd.key", "x")]),
    })
}

struct World {
    alloc: Allocation,
    job: Job,
    agent: BTreeMap<String, String>,
    hooks: Vec<BTreeMap<String, String>>,
    templates: BTreeMap<String, String>,
    secrets: BTreeMap<String, String>,
    network: Option<AllocNetworkStatus>,
}

impl World {
    fn new() -> Self {
        let task = Task {
            name: "web".to_owned(),
            env: strings(&[
                (
                    "GREETING",
                    "hello from ${NOMAD_TASK_NAME} on ${node.unique.name}",
                ),
                ("PATH", "/task/bin"),
                ("KEPT", "${no.such.name}"),
                ("FROM_META", "${NOMAD_META_owner} ${meta.rack}"),
            ]),
            meta: strings(&[("owner", "task"), ("a-b", "dash")]),
            ..Task::default()
        };
        let group = TaskGroup {
            name: "g".to_owned(),
            meta: strings(&[("owner", "group"), ("level", "group")]),
            tasks: vec![task],
            ..TaskGroup::default()
        };
        let job = Job {
            id: "shop/dispatch-1".into(),
            name: "shop/dispatch-1".to_owned(),
            parent_id: "shop".into(),
            meta: strings(&[("owner", "job"), ("dc", "${node.datacenter}")]),
            parameterized_job: Some(Parameterized {
                meta_optional: vec!["input".to_owned(), "owner".to_owned()],
                ..Parameterized::default()
            }),
            task_groups: vec![group],
            ..Job::default()
        };
        let mut alloc = Allocation {
            id: nomad_core::AllocId(Uuid([0xab; 16])),
            namespace: "default".into(),
            name: "shop.g[3]".to_owned(),
            ..Allocation::default()
        };
        let given = AllocatedTaskResources {
            cpu: AllocatedCpu {
                cpu_shares: 100,
                reserved_cores: vec![8, 0, 1, 2, 3],
            },
            memory: AllocatedMemory {
                memory_mb: 64,
                memory_max_mb: 0,
            },
            ..AllocatedTaskResources::default()
        };
        alloc
            .allocated_resources
            .tasks
            .insert("web".to_owned(), given);
        alloc.allocated_resources.shared.ports = vec![
            AllocatedPort {
                label: "http".to_owned(),
                value: 20_001,
                to: 8080,
                host_ip: "10.0.0.5".to_owned(),
                ignore_collision: false,
            },
            AllocatedPort {
                label: "ad-min".to_owned(),
                value: 9000,
                to: 0,
                host_ip: "::1".to_owned(),
                ignore_collision: false,
            },
        ];
        Self {
            alloc,
            job,
            agent: BTreeMap::from([
                ("PATH".to_owned(), "/usr/bin".to_owned()),
                ("HOME".to_owned(), "/root".to_owned()),
                ("NOMAD_DC".to_owned(), "spoofed".to_owned()),
            ]),
            hooks: Vec::new(),
            templates: BTreeMap::new(),
            secrets: BTreeMap::from([("db.password".to_owned(), "s3cret".to_owned())]),
            network: None,
        }
    }

    fn env(&self) -> TaskEnv {
        let group = &self.job.task_groups[0];
        build(&EnvInput {
            alloc: &self.alloc,
            job: &self.job,
            group,
            task: &group.tasks[0],
            node: node(),
            task_dirs: Dirs::inside(),
            host_dirs: Dirs {
                alloc: "/data/a/alloc".to_owned(),
                local: "/data/a/web/local".to_owned(),
                secrets: "/data/a/web/secrets".to_owned(),
            },
            cgroup_parent: "nomad.slice",
            network: self.network.as_ref(),
            agent_env: Some(&self.agent),
            hook_env: &self.hooks,
            template_env: &self.templates,
            secrets: &self.secrets,
        })
    }
}

#[test]
fn every_family_of_variables_is_there() {
    let env = World::new().env();
    for (key, value) in [
        ("NOMAD_ALLOC_DIR", "/alloc"),
        ("NOMAD_TASK_DIR", "/local"),
        ("NOMAD_SECRETS_DIR", "/secrets"),
        ("NOMAD_MEMORY_LIMIT", "64"),
        ("NOMAD_CPU_LIMIT", "100"),
        ("NOMAD_CPU_CORES", "0-3,8"),
        ("NOMAD_ALLOC_ID", "abababab-abab-abab-abab-abababababab"),
        ("NOMAD_SHORT_ALLOC_ID", "abababab"),
        ("NOMAD_ALLOC_NAME", "shop.g[3]"),
        ("NOMAD_ALLOC_INDEX", "3"),
        ("NOMAD_TASK_NAME", "web"),
        ("NOMAD_GROUP_NAME", "g"),
        ("NOMAD_JOB_ID", "shop/dispatch-1"),
        ("NOMAD_JOB_NAME", "shop/dispatch-1"),
        ("NOMAD_JOB_PARENT_ID", "shop"),
        ("NOMAD_DC", "dc1"),
        ("NOMAD_REGION", "global"),
        ("NOMAD_NAMESPACE", "default"),
        ("NOMAD_PARENT_CGROUP", "nomad.slice"),
        ("NOMAD_ADDR_http", "10.0.0.5:20001"),
        ("NOMAD_IP_http", "10.0.0.5"),
        ("NOMAD_PORT_http", "8080"),
        ("NOMAD_HOST_PORT_http", "20001"),
        ("NOMAD_HOST_IP_http", "10.0.0.5"),
        ("NOMAD_HOST_ADDR_http", "10.0.0.5:20001"),
        ("NOMAD_ALLOC_PORT_http", "8080"),
        ("NOMAD_ADDR_ad_min", "[::1]:9000"),
        ("NOMAD_HOST_ADDR_ad-min", "[::1]:9000"),
        ("NOMAD_META_owner", "task"),
        ("NOMAD_META_OWNER", "task"),
        ("NOMAD_META_level", "group"),
        ("NOMAD_META_dc", "dc1"),
        ("NOMAD_META_a_b", "dash"),
        ("NOMAD_META_INPUT", ""),
        ("GREETING", "hello from web on vm"),
        ("KEPT", "${no.such.name}"),
        ("FROM_META", "task r0"),
        ("HOME", "/root"),
        ("PATH", "/task/bin"),
    ] {
        assert_eq!(env.vars.get(key).map(String::as_str), Some(value), "{key}");
    }
    for absent in [
        "NOMAD_MEMORY_MAX_LIMIT",
        "NOMAD_ALLOC_IP_http",
        "NOMAD_TOKEN",
    ] {
        assert!(!env.vars.contains_key(absent), "{absent}");
    }
}

#[test]
fn later_sources_win() {
    let mut world = World::new();
    let one = |value: &str| BTreeMap::from([("PATH".to_owned(), value.to_owned())]);
    world.hooks = vec![one("hook 1"), one("hook 2")];
    assert_eq!(world.env().vars["PATH"], "hook 2");
    world.templates = one("template");
    assert_eq!(world.env().vars["PATH"], "template");
}

#[test]
fn the_allocations_own_network_has_its_variables() {
    let mut world = World::new();
    world.network = Some(AllocNetworkStatus {
        interface_name: "eth0".to_owned(),
        address: "172.26.64.3".to_owned(),
        ..AllocNetworkStatus::default()
    });
    let vars = world.env().vars;
    assert_eq!(vars["NOMAD_ALLOC_ADDR_http"], "172.26.64.3:8080");
    assert_eq!(vars["NOMAD_ALLOC_INTERFACE_http"], "eth0");
    assert_eq!(vars["NOMAD_ALLOC_IP_ad-min"], "172.26.64.3");
}

#[test]
fn old_task_networks_tell_of_siblings() {
    let mut world = World::new();
    let network = |ip: &str, label: &str, value| NetworkResource {
        ip: ip.to_owned(),
        dynamic_ports: vec![Port {
            label: label.to_owned(),
            value,
            ..Port::default()
        }],
        ..NetworkResource::default()
    };
    let tasks = &mut world.alloc.allocated_resources.tasks;
    tasks.get_mut("web").unwrap().networks = vec![network("10.0.0.9", "old", 21_000)];
    tasks.entry("db".to_owned()).or_default().networks = vec![network("10.0.0.9", "sql", 5432)];
    let vars = world.env().vars;
    assert_eq!(vars["NOMAD_ADDR_old"], "10.0.0.9:21000");
    assert_eq!(vars["NOMAD_IPv4_old"], "10.0.0.9");
    assert_eq!(vars["NOMAD_ADDR_db_sql"], "10.0.0.9:5432");
    assert_eq!(vars["NOMAD_PORT_db_sql"], "5432");
}

#[test]
fn paths_differ_between_task_and_host() {
    let env = World::new().env();
    assert_eq!(env.replace("${NOMAD_TASK_DIR}/x"), "/local/x");
    assert_eq!(
        env.replace_host("${NOMAD_TASK_DIR}/x"),
        "/data/a/web/local/x"
    );
    assert_eq!(env.replace_host("${node.class}"), "big");
}

#[test]
fn secrets_of_the_agent_stay_with_it() {
    let agent = || {
        [("NOMAD_TOKEN", "x"), ("LANG", "C"), ("MINE", "y")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
    };
    let default = filter_agent_env(agent(), None);
    assert_eq!(default.keys().collect::<Vec<_>>(), ["LANG", "MINE"]);
    let own = filter_agent_env(agent(), Some("MINE, LANG"));
    assert_eq!(own.keys().collect::<Vec<_>>(), ["NOMAD_TOKEN"]);
}

fn evaluate(config: serde_json::Value) -> Result<serde_json::Value, String> {
    let serde_json::Value::Object(map) = config else {
        panic!("a configuration is a map")
    };
    let map: AnyMap = map;
    evaluate_config(&map, &World::new().env())
        .map(serde_json::Value::Object)
        .map_err(|errors| {
            let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
            lines.join("; ")
        })
}

#[test]
fn configurations_are_evaluated_in_depth() {
    let config = json!({
        "command": "/bin/${attr.kernel.name}",
        "args": ["-p", "${NOMAD_PORT_http}", "${env[\"GREETING\"]}", 5, true, null],
        "labels": [{"${meta.rack}": "${node.unique.id}"}],
        "plain": "no change",
    });
    assert_eq!(
        evaluate(config),
        Ok(json!({
            "command": "/bin/linux",
            "args": ["-p", "8080", "hello from web on vm", 5, true, null],
            "labels": [{"r0": "51f72d6d-08cb-7d35-a65c-7a70380fa0b9"}],
            "plain": "no change",
        }))
    );
}

#[test]
fn expressions_of_every_kind() {
    for (text, wanted) in [
        ("$${NOT}", json!("${NOT}")),
        ("100%%{x}", json!("100%{x}")),
        ("cost: $5 {a} 10%", json!("cost: $5 {a} 10%")),
        ("${upper(node.class)}!", json!("BIG!")),
        ("${1 + 2 * 3}", json!(7)),
        ("${(1 + 2) * 3 - -1}", json!(10)),
        ("${10 / 4}", json!(2.5)),
        ("n=${7 % 4}", json!("n=3")),
        ("${node.class == \"big\" ? \"a\" : \"b\"}", json!("a")),
        ("${!true || 1 < 2 && 2 >= 2}", json!(true)),
        ("${attr.cpu.numcores + 1}", json!(3)),
        (
            "${attr.platform.aws.placement.availability-zone}",
            json!("eu-1a"),
        ),
        ("${node.attr.kernel.name}", json!("linux")),
        ("${meta[\"odd.key\"]}", json!("x")),
        ("${node.meta.rack}", json!("r0")),
        ("${attr.kernel}", json!({"name": "linux"})),
        ("${secret.db.password}", json!("s3cret")),
        ("${[1, \"b\", true][1]}", json!("b")),
        ("${{a = 1, \"b\" : 2}.b}", json!(2)),
        (
            "${\"in ${node.class} \\\"quotes\\\"\"}",
            json!("in big \"quotes\""),
        ),
        (
            "%{ if node.class == \"big\" }yes%{ else }no%{ endif }",
            json!("yes"),
        ),
        ("%{ if false }yes%{ endif }.", json!(".")),
        ("a  ${~ node.class ~}  b", json!("abigb")),
        ("${jsonencode([1, 2])}", json!("[1,2]")),
        ("${length(concat([1], [2, 3]))}", json!(3)),
        ("${substr(\"hello\", 1, 3)}", json!("ell")),
        ("${max(1, 5, 3)} ${min(2, 1)}", json!("5 1")),
        ("${NOMAD_META_a_b}", json!("dash")),
    ] {
        assert_eq!(
            evaluate(json!({ "x": text })),
            Ok(json!({ "x": wanted })),
            "{text}"
        );
    }
}

#[test]
fn mistakes_are_told_all_at_once_with_their_place() {
    let message = evaluate(json!({
        "command": "${no_such}",
        "args": ["ok", "${attr.missing}", "${unclosed"],
    }))
    .unwrap_err();
    assert!(
        message.contains("config.command: unknown variable \"no_such\""),
        "{message}"
    );
    assert!(
        message.contains("config.args[1]: \"attr.missing\""),
        "{message}"
    );
    assert!(
        message.contains("config.args[2]: an expression"),
        "{message}"
    );
}

#[test]
fn bad_expressions_are_errors_and_never_panics() {
    for text in [
        "${}",
        "${1 +}",
        "${a.}",
        "${a b}",
        "${\"x}",
        "${nofunc(1)}",
        "${abs()}",
        "${1/0}",
        "${[1][5]}",
        "${\"a\" + 1}",
        "%{ for x in y }",
        "%{ endif }",
        "%{ if true }",
        "${a[}",
        "${#}",
        "${\"\\q\"}",
        "x${[1]}",
        "${upper([1])}",
        "${{a}}",
        "${node}",
        "${é}",
        "${\"é",
    ] {
        assert!(evaluate(json!({ "x": text })).is_err(), "{text}");
    }
    let deep = format!("${{{}1{}}}", "(".repeat(500), ")".repeat(500));
    assert!(evaluate(json!({ "x": deep })).is_err());
    let minus = format!("${{{}1}}", "-".repeat(500));
    assert!(evaluate(json!({ "x": minus })).is_err());
}

#[test]
fn lists_of_cores_are_short() {
    assert_eq!(cpu_list(&[]), "");
    assert_eq!(cpu_list(&[4]), "4");
    assert_eq!(cpu_list(&[1, 0, 3, 5, 4, 4]), "0-1,3-5");
}
