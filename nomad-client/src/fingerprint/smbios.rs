//! The processor's speed as the firmware's tables have it.

use super::{Host, MAX_FILE_BYTES};

/// Speed in MHz, 0 when the firmware does not tell.
pub(super) fn processor_mhz(host: &Host<'_>) -> u64 {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let read = std::fs::File::open(host.path("sys/firmware/dmi/tables/DMI"))
        .and_then(|file| file.take(MAX_FILE_BYTES).read_to_end(&mut bytes));
    match read {
        Ok(_) => parse(&bytes),
        Err(_) => 0,
    }
}

/// Finds the current speed in the first processor structure (type 4). A structure has a header of type, length and
/// handle, then strings up to two zero bytes.
fn parse(mut table: &[u8]) -> u64 {
    const PROCESSOR: u8 = 4;
    const CURRENT_SPEED: usize = 0x16;
    while table.len() >= 4 {
        let (kind, length) = (table[0], usize::from(table[1]));
        if length < 4 || length > table.len() {
            return 0;
        }
        if kind == PROCESSOR && length >= CURRENT_SPEED + 2 {
            let mhz = u16::from_le_bytes([table[CURRENT_SPEED], table[CURRENT_SPEED + 1]]);
            if mhz > 0 {
                return u64::from(mhz);
            }
        }
        let strings = &table[length..];
        match strings.windows(2).position(|pair| pair == [0, 0]) {
            Some(end) => table = &strings[end + 2..],
            None => return 0,
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_speed_is_found_and_damage_is_survived() {
        let mut table = vec![0, 4, 0, 0, b'x', 0, 0];
        let mut processor = vec![0_u8; 0x1a];
        processor[0] = 4;
        processor[1] = 0x1a;
        processor[0x16..0x18].copy_from_slice(&2445_u16.to_le_bytes());
        table.extend(&processor);
        table.extend([0, 0]);
        assert_eq!(parse(&table), 2445);
        for cut in 0..table.len() {
            parse(&table[..cut]);
        }
        assert_eq!(parse(&[4, 255, 0, 0]), 0);
    }
}
