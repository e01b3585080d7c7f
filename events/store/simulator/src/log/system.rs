//! What a server writes by itself. It lies between the clients' events in `$all`, so that filters, pages and
//! positions meet what they meet on a real server.

use bytes::Bytes;
use uuid::Uuid;

use super::{Proposed, State};

impl State {
    /// What a new database holds before its first client comes.
    pub(super) fn create(&mut self) {
        self.write_filler();
        self.write_epoch(0);
        self.write(
            "$$$settings",
            vec![system_event("$metadata", r#"{"$acl":{"$r":"$all","$w":"$admins"}}"#)],
        );
        for user in ["admin", "ops"] {
            let created =
                format!(r#"{{"loginName":"{user}","fullName":"Event Store {user}","groups":["$admins"]}}"#);
            self.write(&format!("$user-{user}"), vec![system_event("$UserCreated", &created)]);
            self.write("$users", vec![system_event("$User", &format!("\"{user}\""))]);
        }
        self.write(
            "$$$stats-127.0.0.1:2113",
            vec![system_event("$metadata", r#"{"$maxAge":86400,"$acl":{"$r":"$admins"}}"#)],
        )
    }

    /// Statistics, as a server writes them every 30 s.
    pub(super) fn write_statistics(&mut self, count: usize) {
        for _ in 0..count {
            let number = self.last_revision("$stats-127.0.0.1:2113").map_or(0, |last| last + 1);
            let padding = "x".repeat(usize::try_from(number % 97).unwrap_or(0));
            let statistics = format!(r#"{{"proc-id":1,"sys-cpu":0.5,"number":{number},"pad":"{padding}"}}"#);
            self.write("$stats-127.0.0.1:2113", vec![system_event("$statsCollected", &statistics)]);
        }
    }

    /// A leader's term starts.
    pub(super) fn write_epoch(&mut self, leader: usize) {
        self.write_filler();
        let number = self.last_revision("$epoch-information").map_or(0, |last| last + 1);
        let epoch = format!(r#"{{"epochNumber":{number},"leader":{leader}}}"#);
        self.write("$epoch-information", vec![system_event("$epoch-information", &epoch)])
    }
}

fn system_event(event_type: &str, json: &str) -> Proposed {
    Proposed {
        id: Uuid::new_v4(),
        event_type: event_type.to_owned(),
        is_json: true,
        data: Bytes::copy_from_slice(json.as_bytes()),
        metadata: Bytes::new(),
    }
}
