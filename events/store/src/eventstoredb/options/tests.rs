use super::*;

const PASSWORD: &str = "c0rrect:horse/battery@staple?&%";

fn refused(connection: &str) -> OptionsError {
    let Err(error) = Options::new(connection) else { unreachable!("{connection} was taken") };
    error
}

fn taken(connection: &str) -> Options {
    Options::new(connection).unwrap_or_else(|error| unreachable!("{connection}: {error}"))
}

#[test]
fn every_form_of_the_vendors_connection_string_is_taken() {
    for (connection, hosts) in [
        ("esdb://localhost", "localhost:2113"),
        ("esdb://localhost:2114?tls=false", "localhost:2114"),
        ("esdb+discover://cluster.example:2113", "cluster.example:2113"),
        ("kurrentdb://one:1,two:2,three:3?tlsVerifyCert=false", "one:1,two:2,three:3"),
        ("kdb://one,two,three", "one:2113,two:2113,three:2113"),
        ("kurrent+discover://admin:changeit@cluster.example", "cluster.example:2113"),
        ("esdb://admin:changeit@one:1,two:2?nodePreference=leader", "one:1,two:2"),
    ] {
        assert_eq!(taken(connection).hosts(), hosts, "{connection}");
    }
}

#[test]
fn what_is_no_connection_string_is_refused_with_what_to_write() {
    for connection in
        ["", "localhost:2113", "http://localhost:2113", "esdb://", "esdb://a:b:c", "esdb://a:99999"]
    {
        assert_eq!(refused(connection), OptionsError::NotAConnectionString, "{connection}");
    }
    let unknown = OptionsError::UnknownParameter("tlsverifycrt".to_owned());
    assert_eq!(refused("esdb://localhost?tlsVerifyCrt=false"), unknown);
    assert_eq!(refused("esdb://localhost?nodePreference=follower"), OptionsError::NodePreference);
    assert_eq!(taken("esdb://localhost").with_prefix("$x").err(), Some(OptionsError::Prefix));
}

#[test]
fn user_and_password_are_decoded_or_given_apart_but_not_twice() {
    let encoded = utf8_percent_encode(PASSWORD, NON_ALPHANUMERIC);
    let inside = taken(&format!("esdb://ops:{encoded}@localhost"));
    let apart = taken("esdb://localhost").with_login("ops", PASSWORD).unwrap_or_else(|e| unreachable!("{e}"));
    assert_eq!(inside.login, apart.login);
    assert_eq!(inside.credentials(), Some(Credentials::new("ops".to_owned(), PASSWORD.to_owned())));
    assert_eq!(inside.with_login("a", "b").err(), Some(OptionsError::LoginTwice));
    for (user, password) in [("", "x"), ("a:b", "x"), ("a", "x\n")] {
        assert_eq!(taken("esdb://h").with_login(user, password).err(), Some(OptionsError::LoginCharacters));
    }
}

#[test]
fn no_text_about_options_holds_the_password() {
    let encoded = utf8_percent_encode(PASSWORD, NON_ALPHANUMERIC).to_string();
    let options = taken(&format!("esdb://ops:{encoded}@localhost"));
    let texts = [format!("{options:?}"), options.hosts(), format!("{:?}", options.settings())];
    let errors = [
        // As people write it, without encoding.
        refused(&format!("esdb://ops:{PASSWORD}@localhost")),
        refused(&format!("esdb://ops:{encoded}@local host:x")),
        refused(&format!("esdb://ops:{encoded}@localhost?frobnicate=1")),
        refused(&format!("http://ops:{encoded}@localhost")),
        refused(&format!("{encoded}@localhost")),
    ];
    let errors = errors.iter().flat_map(|error| [error.to_string(), format!("{error:?}")]);
    for text in texts.into_iter().chain(errors) {
        for part in ["c0rrect", "horse", "staple"] {
            assert!(!text.contains(part), "{text}");
        }
    }
}

#[test]
fn a_ca_file_must_hold_a_certificate() {
    let missing = taken("esdb://localhost").with_ca_file(Path::new("/nonexistent/ca.pem"));
    assert_eq!(missing.err(), Some(OptionsError::CaFile("/nonexistent/ca.pem".to_owned())));
    let no_pem = taken("esdb://localhost").with_ca_file(Path::new("/proc/self/status"));
    assert!(matches!(no_pem, Err(OptionsError::CaFile(_))));
}
