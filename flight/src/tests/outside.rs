//! Serves for a client outside of this process, for trying out by hand.

use super::lab::Lab;

#[tokio::test(flavor = "multi_thread")]
async fn serves_for_a_client_outside() {
    let Ok(told) = std::env::var("CAMBIST_FLIGHT_TELL") else {
        println!("skipped: CAMBIST_FLIGHT_TELL names no file");
        return;
    };
    let lab = Lab::start().await;
    std::fs::write(&told, format!("{} {}", lab.port(), lab.authority().display())).unwrap();
    let mut live = lab.live.clone();
    while std::path::Path::new(&told).exists() {
        let _ = tokio::time::timeout(std::time::Duration::from_secs(1), live.changed()).await;
        println!("live {} kept {:?}", *live.borrow_and_update(), lab.endpoint.kept());
    }
}
