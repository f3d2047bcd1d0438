//! Network namespaces beside that of this process.

use super::Tree;

/// Tells whether there is another one, or may be: of a process that this user may not look at nothing is known.
pub(crate) fn may_have_other_namespaces(tree: &Tree) -> bool {
    let ours = tree.target("/proc/self/ns/net");
    let pids = tree.names("/proc").into_iter();
    let mut pids = pids.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
    let is_elsewhere = |pid: String| {
        let theirs = tree.target(&format!("/proc/{pid}/ns/net"));
        // It may have ended in the meantime.
        theirs != ours && tree.exists(&format!("/proc/{pid}"))
    };
    pids.any(is_elsewhere) || is_mounted(tree, ours.as_deref())
}

/// Those without a process are kept by a mount, as `ip netns add` makes one: `net:[NUMBER]` is its root.
fn is_mounted(tree: &Tree, ours: Option<&str>) -> bool {
    let tables = ["/proc/self/mountinfo", "/proc/1/mountinfo"];
    let texts = tables.iter().filter_map(|table| tree.text(table));
    let roots = texts.flat_map(|text| {
        let roots = text.lines().filter_map(|line| line.split(' ').nth(3));
        Vec::from_iter(roots.map(str::to_string))
    });
    let mut namespaces = roots.filter(|root| root.starts_with("net:["));
    namespaces.any(|root| Some(root.as_str()) != ours)
}
