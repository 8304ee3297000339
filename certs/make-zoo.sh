#!/usr/bin/env bash
# Makes a development CA, one good client certificate, and certificates that must be refused.
#
#   certs/make-zoo.sh FOLDER          the folder must not exist yet, or be empty
#
# Needs openssl 3.0 or newer. Everything in the folder is throw-away; nothing of it is committed.
set -euo pipefail

if [ $# -ne 1 ]; then
    echo "usage: $0 FOLDER" >&2
    exit 2
fi
folder=$1
if [ -d "$folder" ] && [ -n "$(ls -A "$folder")" ]; then
    echo "$folder is not empty: name a new folder" >&2
    exit 1
fi
umask 077
mkdir -p "$folder"
cd "$folder"

# The text of the extensions a leaf gets; $1 is its extended key usage, or nothing.
leaf_extensions() {
    echo "basicConstraints = critical, CA:FALSE"
    echo "keyUsage = critical, digitalSignature"
    echo "subjectAltName = URI:urn:fieldgate:partner:ptn_00000000000000000000000000000000"
    if [ -n "$1" ]; then
        echo "extendedKeyUsage = $1"
    fi
}

# key NAME CURVE|rsa:BITS
key() {
    case "$2" in
        rsa:*) openssl genpkey -quiet -algorithm RSA -pkeyopt "rsa_keygen_bits:${2#rsa:}" -out "$1.key" ;;
        *) openssl genpkey -quiet -algorithm EC -pkeyopt "ec_paramgen_curve:$2" -out "$1.key" ;;
    esac
}

# authority NAME
authority() {
    key "$1" P-256
    openssl req -x509 -new -key "$1.key" -subj "/CN=Development CA $1" -days 3650 -out "$1.pem" \
        -addext "basicConstraints=critical,CA:TRUE,pathlen:0" -addext "keyUsage=critical,keyCertSign,cRLSign"
}

# leaf NAME CA KEY-KIND USAGE NOT-BEFORE NOT-AFTER: `openssl ca` is what can set both dates in 3.0.
leaf() {
    local name=$1 ca=$2 kind=$3 usage=$4 from=$5 until=$6
    key "$name" "$kind"
    openssl req -new -key "$name.key" -subj "/CN=$name" -out "$name.csr"
    leaf_extensions "$usage" >work.ext
    : >work.index
    cat >work.cnf <<CONFIG
[ca]
default_ca = zoo
[zoo]
database = work.index
new_certs_dir = .
rand_serial = yes
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = supplied
CONFIG
    openssl ca -batch -notext -config work.cnf -cert "$ca.pem" -keyfile "$ca.key" -in "$name.csr" \
        -extfile work.ext -startdate "$from" -enddate "$until" -out "$name.pem" 2>work.log \
        || { cat work.log >&2; exit 1; }
    # openssl ca leaves a second copy under the serial number.
    find . -maxdepth 1 -name '[0-9A-F]*.pem' -regex './[0-9A-F]+\.pem' -delete
}

stamp() { date -u -d "$1" +%Y%m%d%H%M%SZ; }
yesterday=$(stamp '1 day ago')
next_month=$(stamp '30 days')

authority ca
authority other-ca

leaf good ca P-256 clientAuth "$yesterday" "$next_month"
leaf expired ca P-256 clientAuth "$(stamp '60 days ago')" "$yesterday"
leaf not-yet-valid ca P-256 clientAuth "$(stamp '10 days')" "$next_month"
leaf other-authority other-ca P-256 clientAuth "$yesterday" "$next_month"
leaf no-client-auth ca P-256 "" "$yesterday" "$next_month"
leaf server-auth-only ca P-256 serverAuth "$yesterday" "$next_month"
leaf rsa-1024 ca rsa:1024 clientAuth "$yesterday" "$next_month"
leaf p-521 ca P-521 clientAuth "$yesterday" "$next_month"

# What `openssl req -x509` makes by itself: self-signed, and a CA at that.
key self-signed-ca P-256
openssl req -x509 -new -key self-signed-ca.key -subj "/CN=self-signed-ca" -days 30 -out self-signed-ca.pem

rm -f work.* ./*.csr

echo "made in $folder:"
for certificate in ./*.pem; do
    name=$(basename "$certificate" .pem)
    print=$(openssl x509 -in "$certificate" -noout -fingerprint -sha256 | cut -d= -f2 | tr -d ':' | tr 'A-F' 'a-f')
    printf '  %-18s %s\n' "$name" "$print"
done
