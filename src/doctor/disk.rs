//! The data directory: who can read it, how much room it has, whether a sync works and how long it takes, and
//! whether its kind of filesystem keeps what it says.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::statvfs;

use super::finding::Findings;

const CHECK: &str = "data directory";
const DISK: &str = "disk";
/// Below this the ledger may stop within the hour.
const ROOM_LEAST_BYTES: u64 = 100 * MIB;
/// Below this somebody should make room.
const ROOM_LITTLE_BYTES: u64 = 1024 * MIB;
const MIB: u64 = 1024 * 1024;
/// A commit waits for one sync, and so does every call that waits for the commit.
const SYNC_SLOW: Duration = Duration::from_millis(100);

pub(super) fn look(dir: &Path, findings: &mut Findings) {
    match fs::metadata(dir) {
        Ok(found) if !found.is_dir() => {
            findings.fail(
                CHECK,
                format!("{} is no directory", dir.display()),
                "Name another with server.data_dir.",
            );
        }
        Ok(found) => {
            look_at_mode(dir, found.permissions().mode(), findings);
            look_at_disk(dir, findings);
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let next = "`nemo serve` makes it; `nemo init` does so now.";
            findings.warn(CHECK, format!("{} is not there yet", dir.display()), next);
            let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
            look_at_disk(parent.unwrap_or_else(|| Path::new(".")), findings);
        }
        Err(error) => {
            let next = "Let the user who runs the gateway read and write it.";
            findings.fail(CHECK, format!("cannot look at {}: {error}", dir.display()), next);
        }
    }
}

fn look_at_mode(dir: &Path, mode: u32, findings: &mut Findings) {
    if mode & 0o077 == 0 {
        findings.ok(CHECK, format!("{} is its owner's alone", dir.display()));
    } else {
        let found =
            format!("others on this machine can look into {} (mode {:04o})", dir.display(), mode & 0o7777);
        findings.warn(CHECK, found, format!("chmod 700 '{}'; `nemo serve` does so as well.", dir.display()));
    }
}

fn look_at_disk(dir: &Path, findings: &mut Findings) {
    look_at_room(dir, findings);
    look_at_kind(dir, findings);
    match sync_takes(dir) {
        Ok(took) if took > SYNC_SLOW => {
            let found = format!("a sync takes {} ms, and every commit waits for one", took.as_millis());
            findings.warn(
                DISK,
                found,
                "Put server.data_dir on a faster disk, one with a cache that survives power loss.",
            );
        }
        Ok(took) => findings.ok(DISK, format!("a sync takes {:.1} ms", took.as_secs_f64() * 1_000.0)),
        Err(error) => {
            let found = format!("nothing can be written and synced in {}: {error}", dir.display());
            findings.fail(DISK, found, "Make room, or let the user who runs the gateway write there.");
        }
    }
}

fn look_at_room(dir: &Path, findings: &mut Findings) {
    let free = match statvfs(dir) {
        Ok(found) => found.f_bavail.saturating_mul(found.f_frsize),
        Err(error) => {
            findings.warn(DISK, format!("cannot tell how much room there is: {error}"), "Look at `df`.");
            return;
        }
    };
    let found = format!("{} MiB are free", free / MIB);
    match free {
        ..ROOM_LEAST_BYTES => {
            findings.fail(DISK, found, "Make room: on a full disk calls are refused with 503.")
        }
        ROOM_LEAST_BYTES..ROOM_LITTLE_BYTES => {
            findings.warn(DISK, found, "Make room before the disk is full.")
        }
        _ => findings.ok(DISK, found),
    }
}

/// Writes a file like the ledger does, syncs it and its directory, and removes it.
fn sync_takes(dir: &Path) -> io::Result<Duration> {
    let path = dir.join(format!(".nemo-doctor-{}", std::process::id()));
    let probe = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(&[0; 4096])?;
        let started = Instant::now();
        file.sync_all()?;
        let took = started.elapsed();
        File::open(dir)?.sync_all()?;
        Ok(took)
    };
    let took = probe();
    // A probe that could not be made need not be removed.
    let _ = fs::remove_file(&path);
    took
}

/// What is known of a kind of filesystem.
#[cfg(target_os = "linux")]
enum Trust {
    Kept(&'static str),
    Doubted(&'static str, &'static str),
    Unknown,
}

#[cfg(target_os = "linux")]
const fn trust(magic: u32) -> Trust {
    match magic {
        0xef53 => Trust::Kept("ext4"),
        0x5846_5342 => Trust::Kept("XFS"),
        0x9123_683e => Trust::Kept("Btrfs"),
        0x2fc1_2fc1 => Trust::Kept("ZFS"),
        0xf2f5_2010 => Trust::Kept("F2FS"),
        0xca45_1a4e => Trust::Kept("bcachefs"),
        0x0102_1994 | 0x8584_58f6 => Trust::Doubted("in memory", "everything is lost when the machine stops"),
        0x6969 => Trust::Doubted("NFS", "its locks and syncs are not always what they say"),
        0xff53_4d42 | 0xfe53_4d42 | 0x517b => {
            Trust::Doubted("SMB", "its locks and syncs are not always what they say")
        }
        0x6573_5546 => Trust::Doubted("FUSE", "its locks and syncs are as good as the program behind it"),
        0x0102_1997 => Trust::Doubted("9p", "its syncs are as good as the host behind it"),
        0x794c_7630 => {
            Trust::Doubted("an overlay", "in a container everything is lost with it: mount a volume")
        }
        _ => Trust::Unknown,
    }
}

#[cfg(target_os = "linux")]
fn look_at_kind(dir: &Path, findings: &mut Findings) {
    let Ok(found) = rustix::fs::statfs(dir) else { return };
    let magic = u32::try_from(found.f_type).unwrap_or_default();
    match trust(magic) {
        Trust::Kept(name) => findings.ok(DISK, format!("the filesystem is {name}")),
        Trust::Doubted(name, why) => {
            let next = "Put server.data_dir on a local disk.";
            findings.warn(DISK, format!("the filesystem is {name}: {why}"), next);
        }
        Trust::Unknown => {
            let found = format!("the filesystem is of a kind that is not known here ({magic:#x})");
            findings.warn(DISK, found, "Make sure that its locks and syncs can be relied upon.");
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn look_at_kind(_dir: &Path, _findings: &mut Findings) {}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails loudly")]
    use tempfile::TempDir;

    use super::super::finding::Level;
    use super::*;

    #[test]
    fn the_probe_is_gone_afterwards() {
        let home = TempDir::new().unwrap();
        sync_takes(home.path()).unwrap();
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_directory_that_others_can_look_into_is_told() {
        let home = TempDir::new().unwrap();
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mut findings = Findings::default();
        look(home.path(), &mut findings);
        let told = findings.told();
        assert!(
            told.iter().any(|(level, found)| *level == Level::Warn && found.contains("0755")),
            "{told:?}"
        );
    }

    #[test]
    fn a_place_where_nothing_can_be_written_fails() {
        let mut findings = Findings::default();
        look_at_disk(Path::new("/proc/self"), &mut findings);
        let told = findings.told();
        assert!(
            told.iter().any(|(level, found)| *level == Level::Fail && found.contains("synced")),
            "{told:?}"
        );
    }
}
