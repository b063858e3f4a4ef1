//! Lists of cores as the kernel and configuration files write them: `0-3,8`.

/// Most cores that a list may name.
const MAX_CORES: usize = 8192;

/// Reads a list; `None` when it is malformed. Sorted, each core once.
pub(crate) fn parse_list(text: &str) -> Option<Vec<u16>> {
    let mut cores = Vec::new();
    for part in text
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
    {
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (first.trim().parse().ok()?, last.trim().parse().ok()?),
            None => {
                let core: u16 = part.parse().ok()?;
                (core, core)
            }
        };
        if first > last || cores.len() + usize::from(last - first) >= MAX_CORES {
            return None;
        }
        cores.extend(first..=last);
    }
    cores.sort_unstable();
    cores.dedup();
    Some(cores)
}

/// Writes a list.
pub(crate) fn format_list(cores: &[u16]) -> String {
    crate::env::cpu_list(cores)
}
