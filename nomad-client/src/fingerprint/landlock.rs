//! `kernel.landlock`: version of the kernel's Landlock.

use nomad_core::node::Node;

use super::{Host, set};

pub(super) fn probe(_: &Host<'_>, node: &mut Node) {
    if let Some(version) = version() {
        set(node, "kernel.landlock", format!("v{version}"));
    }
}

/// The version of the kernel's interface, or `None` where there is none or it is off.
fn version() -> Option<i64> {
    const ASK_VERSION: u32 = 1;
    #[expect(
        unsafe_code,
        reason = "no safe wrapper; a null attribute of size 0 with this flag only asks for the version"
    )]
    // SAFETY: the kernel reads nothing through the null pointer when the flag is set.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<u8>(),
            0_usize,
            ASK_VERSION,
        )
    };
    (answer > 0).then_some(answer)
}
