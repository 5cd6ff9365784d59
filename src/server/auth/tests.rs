use axum::http::HeaderValue;
use axum::http::header::AUTHORIZATION;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::users::{Access, Role, Token, User, Users};
use super::*;

const PASSWORD: &str = "correct horse";

/// A file with `ada` (a password, a token), `bob` (nothing that lets him in), and the authenticator it guards.
struct House {
    home: tempfile::TempDir,
    authenticator: Authenticator,
    token: String,
}

impl House {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let (token, stored) = Token::issue(chrono::DateTime::UNIX_EPOCH);
        let ada = User {
            id: Some("ada@example.com".into()),
            role: Some(Role::Editor),
            password: Some(PasswordHash::of(PASSWORD).unwrap()),
            repos: [
                ("team/game".into(), Access::As(Role::Admin)),
                ("team/secret".into(), Access::None),
            ]
            .into(),
            tokens: [("ci".into(), stored)].into(),
            ..User::default()
        };
        let mut users = Users::default();
        users.put("ada", ada).unwrap();
        users.put("bob", User::default()).unwrap();
        let file = home.path().join("users.toml");
        users.write(&file).unwrap();
        let proxies = vec!["10.0.0.0/8".parse().unwrap()];
        let header = HeaderName::from_static("x-forwarded-user");
        let authenticator =
            Authenticator::looking_every(Duration::ZERO, file, proxies, Some(header)).unwrap();
        House {
            home,
            authenticator,
            token,
        }
    }

    /// Changes the file.
    fn change(&self, change: impl FnOnce(&mut Users)) {
        let file = self.home.path().join("users.toml");
        let mut users = Users::read(&file).unwrap();
        change(&mut users);
        users.write(&file).unwrap();
    }

    async fn basic(&self, peer: &str, name: &str, password: &str) -> Result<Caller, Denied> {
        self.ask(peer, &[("authorization", &basic(name, password))])
            .await
    }

    async fn ask(&self, peer: &str, headers: &[(&'static str, &str)]) -> Result<Caller, Denied> {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
        self.authenticator
            .authenticate(peer.parse().unwrap(), &headers.collect())
            .await
    }
}

fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
}

fn is_wrong(outcome: &Result<Caller, Denied>) -> bool {
    matches!(outcome, Err(Denied::Wrong))
}

#[tokio::test]
async fn a_name_and_its_password_let_in() {
    let house = House::new();
    for _ in 0..2 {
        let ada = house.basic("192.0.2.1", "ada", PASSWORD).await.unwrap();
        assert_eq!((ada.name.as_str(), ada.shown.as_str()), ("ada", "ada"));
        assert_eq!(ada.id, "ada@example.com");
        assert!(!ada.is_proxied);
        assert_eq!(ada.role_in("any/other"), Some(Role::Editor));
        assert_eq!(ada.role_in("team/game"), Some(Role::Admin));
        assert_eq!(ada.role_in("team/secret"), None);
    }
    for (name, password) in [
        ("ada", "wrong horse"),
        ("ada", ""),
        ("bob", PASSWORD),
        ("eve", PASSWORD),
        ("", ""),
    ] {
        let outcome = house.basic("192.0.2.1", name, password).await;
        assert!(is_wrong(&outcome), "{name}: {outcome:?}");
    }
}

#[tokio::test]
async fn nothing_shown_is_no_attempt() {
    let house = House::new();
    for _ in 0..20 {
        let outcome = house.ask("192.0.2.1", &[]).await;
        assert!(matches!(outcome, Err(Denied::Missing)), "{outcome:?}");
    }
    assert!(house.basic("192.0.2.1", "ada", PASSWORD).await.is_ok());
}

#[tokio::test]
async fn a_token_lets_in_as_a_bearer_and_in_the_passwords_place_of_its_user_only() {
    let house = House::new();
    let bearer = format!("Bearer {}", house.token);
    let ada = house.ask("192.0.2.1", &[("authorization", &bearer)]).await;
    assert_eq!(ada.unwrap().name, "ada");
    assert!(house.basic("192.0.2.1", "ada", &house.token).await.is_ok());
    assert!(is_wrong(
        &house.basic("192.0.2.1", "bob", &house.token).await
    ));
    let password = format!("Bearer {PASSWORD}");
    assert!(is_wrong(
        &house
            .ask("192.0.2.1", &[("authorization", &password)])
            .await
    ));
    house.change(|users| {
        let mut ada = users.remove("ada").unwrap();
        ada.tokens.clear();
        users.put("ada", ada).unwrap();
    });
    assert!(is_wrong(
        &house.ask("192.0.2.1", &[("authorization", &bearer)]).await
    ));
}

#[tokio::test]
async fn the_header_of_a_trusted_proxy_counts_and_nobody_elses() {
    let house = House::new();
    let bob = house
        .ask("10.1.2.3", &[("x-forwarded-user", "bob")])
        .await
        .unwrap();
    assert!(bob.name == "bob" && bob.is_proxied && bob.role_in("any").is_none());
    assert!(
        house
            .ask("::ffff:10.1.2.3", &[("x-forwarded-user", "bob")])
            .await
            .is_ok()
    );
    assert!(is_wrong(
        &house.ask("10.1.2.3", &[("x-forwarded-user", "eve")]).await
    ));
    let twice = [("x-forwarded-user", "bob"), ("x-forwarded-user", "ada")];
    let mut headers = HeaderMap::new();
    for (name, value) in twice {
        headers.append(name, HeaderValue::from_static(value));
    }
    assert!(is_wrong(
        &house
            .authenticator
            .authenticate("10.1.2.3".parse().unwrap(), &headers)
            .await
    ));
    let outside = house.ask("192.0.2.1", &[("x-forwarded-user", "bob")]).await;
    assert!(matches!(outside, Err(Denied::Missing)), "{outside:?}");
    let own = basic("ada", PASSWORD);
    let both = [("x-forwarded-user", "bob"), ("authorization", own.as_str())];
    assert_eq!(house.ask("192.0.2.1", &both).await.unwrap().name, "ada");
    assert_eq!(house.ask("10.1.2.3", &both).await.unwrap().name, "bob");
    assert!(house.ask("10.1.2.3", &both[1..]).await.unwrap().is_proxied);
}

#[tokio::test]
async fn after_ten_wrong_ones_a_client_waits_and_what_is_remembered_passes() {
    let house = House::new();
    house.basic("192.0.2.1", "ada", PASSWORD).await.unwrap();
    for _ in 0..10 {
        assert!(is_wrong(
            &house
                .ask("192.0.2.1", &[("authorization", "Bearer x")])
                .await
        ));
    }
    let outcome = house.basic("192.0.2.1", "bob", PASSWORD).await;
    let Err(Denied::TooMany { retry_after }) = outcome else {
        panic!("{outcome:?}");
    };
    assert!(retry_after <= Duration::from_secs(60) && !retry_after.is_zero());
    let bearer = house
        .ask("192.0.2.1", &[("authorization", "Bearer x")])
        .await;
    assert!(matches!(bearer, Err(Denied::TooMany { .. })), "{bearer:?}");
    assert!(house.basic("192.0.2.1", "ada", PASSWORD).await.is_ok());
    assert!(house.basic("192.0.2.1", "ada", &house.token).await.is_ok());
    assert!(is_wrong(&house.basic("192.0.2.2", "bob", PASSWORD).await));
}

#[tokio::test]
async fn a_right_password_that_is_not_remembered_waits_like_a_wrong_one() {
    let house = House::new();
    for _ in 0..10 {
        house
            .ask("192.0.2.1", &[("authorization", "Basic ?")])
            .await
            .unwrap_err();
    }
    let outcome = house.basic("192.0.2.1", "ada", PASSWORD).await;
    assert!(
        matches!(outcome, Err(Denied::TooMany { .. })),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn what_is_remembered_cannot_be_guessed_at() {
    let house = House::new();
    house.basic("192.0.2.1", "ada", PASSWORD).await.unwrap();
    for n in 0..100 {
        let guess = format!("wrong {n}");
        house.basic("192.0.2.1", "ada", &guess).await.unwrap_err();
    }
    let right = house.basic("192.0.2.1", "ada", PASSWORD).await;
    assert!(matches!(right, Err(Denied::TooMany { .. })), "{right:?}");
    assert!(house.basic("192.0.2.1", "ada", &house.token).await.is_ok());
}

#[tokio::test]
async fn a_name_that_is_guessed_at_from_elsewhere_stays_open_to_who_is_logged_in() {
    let house = House::new();
    house.basic("192.0.2.1", "ada", PASSWORD).await.unwrap();
    for n in 0..40 {
        let from = format!("198.51.100.{n}");
        house.basic(&from, "ada", "wrong horse").await.unwrap_err();
    }
    let elsewhere = house.basic("192.0.2.2", "ada", PASSWORD).await;
    assert!(
        matches!(elsewhere, Err(Denied::TooMany { .. })),
        "{elsewhere:?}"
    );
    assert!(house.basic("192.0.2.1", "ada", PASSWORD).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_get_no_more_tries_than_one_after_the_other() {
    let house = Arc::new(House::new());
    let tries: Vec<_> = (0..40)
        .map(|n| {
            let house = Arc::clone(&house);
            tokio::spawn(
                async move { house.basic("192.0.2.1", "ada", &format!("wrong {n}")).await },
            )
        })
        .collect();
    let mut wrong = 0;
    for one in tries {
        wrong += usize::from(is_wrong(&one.await.unwrap()));
    }
    assert!((10..10 + AT_ONCE).contains(&wrong), "{wrong}");
}

#[tokio::test]
async fn behind_a_proxy_wrong_ones_count_against_its_client() {
    let house = House::new();
    let from = |client: &'static str| [("x-forwarded-for", client), ("authorization", "Bearer x")];
    for _ in 0..10 {
        assert!(is_wrong(
            &house.ask("10.0.0.1", &from("1.1.1.1, 192.0.2.1")).await
        ));
    }
    let same = house.ask("10.0.0.1", &from("192.0.2.1")).await;
    assert!(matches!(same, Err(Denied::TooMany { .. })), "{same:?}");
    assert!(is_wrong(&house.ask("10.0.0.1", &from("192.0.2.2")).await));
    for n in 0..10 {
        let client = format!("192.0.2.{n}");
        let forged = [
            ("x-forwarded-for", client.as_str()),
            ("authorization", "Bearer x"),
        ];
        assert!(is_wrong(&house.ask("198.51.100.1", &forged).await));
    }
    let forged = house.ask("198.51.100.1", &from("192.0.2.77")).await;
    assert!(matches!(forged, Err(Denied::TooMany { .. })), "{forged:?}");
}

#[tokio::test]
async fn a_new_password_is_in_force_at_once_and_so_is_a_removal() {
    let house = House::new();
    house.basic("192.0.2.1", "ada", PASSWORD).await.unwrap();
    house.change(|users| {
        let mut ada = users.get("ada").unwrap().clone();
        ada.password = Some(PasswordHash::of("battery staple").unwrap());
        users.put("ada", ada).unwrap();
    });
    assert!(is_wrong(&house.basic("192.0.2.1", "ada", PASSWORD).await));
    house
        .basic("192.0.2.1", "ada", "battery staple")
        .await
        .unwrap();
    house.change(|users| drop(users.remove("ada")));
    assert!(is_wrong(
        &house.basic("192.0.2.1", "ada", "battery staple").await
    ));
}

#[tokio::test]
async fn without_the_file_nobody_is_let_in() {
    let house = House::new();
    house.basic("192.0.2.1", "ada", PASSWORD).await.unwrap();
    std::fs::remove_file(house.home.path().join("users.toml")).unwrap();
    let outcome = house.basic("192.0.2.1", "ada", PASSWORD).await;
    assert!(
        matches!(outcome, Err(Denied::Unavailable(_))),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn an_open_door_lets_everybody_in_as_the_one_person() {
    let authenticator = Authenticator::open(Caller::admin("ada@example.com", "Ada"));
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer x"));
    headers.insert("x-forwarded-for", HeaderValue::from_static("192.0.2.1"));
    let peer = "::ffff:127.0.0.1".parse().unwrap();
    let caller = authenticator.authenticate(peer, &headers).await.unwrap();
    assert_eq!(caller.id, "ada@example.com");
    assert_eq!(caller.role_in("any"), Some(Role::Admin));
    let client: IpAddr = "127.0.0.1".parse().unwrap();
    assert_eq!(authenticator.client_of(peer, &headers), client);
}
