//! The manifest for Kubernetes is one.

mod installed;
mod support;

use std::fs;

use support::{Launch, contains, workspace};

#[test]
fn the_manifest_has_the_fields_that_kubernetes_knows() {
    let Some([validate]) = installed::all(["kubernetes-validate"]) else { return };
    let manifest = fs::read_to_string(workspace().join("docs/deploy/kubernetes.yml")).unwrap();
    let check = |manifest: &str| {
        Launch::program(&validate).args(["--strict", "atoll.yml"]).write("atoll.yml", manifest).run()
    };
    let good = check(&manifest);
    assert!(good.status.success(), "{}{}", good.stdout, good.stderr);
    contains(
        &format!("{}{}", good.stdout, good.stderr),
        &["statefulset/atoll", "service/atoll", "configmap/atoll"],
    );
    assert!(!check(&manifest.replace("serviceName:", "servicename:")).status.success());
}

#[test]
fn the_host_of_the_manifest_takes_its_arguments_and_its_registry() {
    let manifest = fs::read_to_string(workspace().join("docs/deploy/kubernetes.yml")).unwrap();
    let registry = manifest.split("apps.json: |\n").nth(1).unwrap().split("---").next().unwrap();
    let arguments = manifest.split("            - serve\n").nth(1).unwrap();
    let arguments = arguments.lines().map_while(|line| line.trim().strip_prefix("- --"));
    let arguments =
        arguments.filter(|argument| !argument.starts_with("config=") && !argument.starts_with("listen="));
    let arguments: Vec<_> = arguments.map(|argument| format!("--{argument}")).collect();
    assert_eq!(arguments.len(), 2);
    let host = Launch::serve(registry).args(arguments).start();
    assert_eq!(host.get("/readyz").status, 200);
}
