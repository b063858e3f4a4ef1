//! The committed code of src/gen is what the .proto files say; `NOMAD_CODEGEN=write` rewrites it.

use std::fs;
use std::path::Path;

const FILES: [&str; 3] = ["bytes.proto", "node.proto", "raft.proto"];

#[test]
fn generated_code_is_current() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let write = std::env::var("NOMAD_CODEGEN").is_ok_and(|value| value == "write");
    let fresh = Path::new(env!("CARGO_TARGET_TMPDIR")).join("gen");
    fs::create_dir_all(&fresh).expect("create directory for fresh code");

    let descriptors =
        protox::compile(FILES, [root.join("proto")]).expect("compile the .proto files");
    tonic_prost_build::configure()
        .bytes(".")
        .build_transport(false)
        .out_dir(&fresh)
        .emit_rerun_if_changed(false)
        .compile_fds(descriptors)
        .expect("generate code");

    for package in ["nomad.bytes.v1", "nomad.node.v1", "nomad.raft.v1"] {
        let name = format!("{package}.rs");
        let new = fs::read_to_string(fresh.join(&name)).expect("read fresh code");
        let committed = root.join("src/gen").join(&name);
        if write {
            fs::write(&committed, &new).expect("write generated code");
            continue;
        }
        let old = fs::read_to_string(&committed).unwrap_or_default();
        assert!(
            old == new,
            "src/gen/{name} does not match the .proto files; run `NOMAD_CODEGEN=write cargo test -p nomad-proto --test codegen`"
        );
    }
}
