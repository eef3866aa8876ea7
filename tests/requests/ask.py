"""Asks a manager for transient services by raw bytes, in ways that no library would.

ask.py HOW UNIT [COUNT]
"""

import os
import socket
import struct
import sys
import time

PRIVATE = "/run/systemd/private"
BUS = "/run/dbus/system_bus_socket"
SERIAL = 1077


class Out:
    """A D-Bus body or header, little endian."""

    def __init__(self):
        self.b = bytearray()

    def align(self, n):
        self.b += b"\0" * (-len(self.b) % n)

    def u32(self, n):
        self.align(4)
        self.b += struct.pack("<I", n)

    def s(self, text):
        self.u32(len(text))
        self.b += text.encode() + b"\0"

    def g(self, text):
        self.b += bytes([len(text)]) + text.encode() + b"\0"

    def array(self, align, fill):
        self.u32(0)
        at = len(self.b)
        self.align(align)
        start = len(self.b)
        fill()
        self.b[at - 4 : at] = struct.pack("<I", len(self.b) - start)


def transient(unit, padding=0):
    body = Out()
    body.s(unit)
    body.s("replace")

    def properties():
        body.align(8)
        body.s("ExecStart")
        body.g("a(sasb)")

        def commands():
            body.align(8)
            body.s("/bin/true")
            body.array(4, lambda: (body.s("/bin/true"), body.s(unit)))
            body.u32(0)

        body.array(8, commands)
        body.align(8)
        body.s("Description")
        body.g("s")
        body.s("x" * padding)

    body.array(8, properties)
    body.array(8, lambda: None)
    return body.b


def message(member, body=b"", signature="", destination="org.freedesktop.systemd1",
            path="/org/freedesktop/systemd1", interface="org.freedesktop.systemd1.Manager",
            serial=1, odd=False, flags=0):
    fields = [
        (1, "o", path), (2, "s", interface), (3, "s", member), (6, "s", destination),
    ]
    if signature:
        fields.append((8, "g", signature))
    if odd:
        fields.reverse()
    head = Out()
    head.b += bytes([ord("l"), 1, flags, 1])
    head.u32(len(body))
    head.u32(serial)

    def write():
        for code, kind, value in fields:
            head.align(8)
            head.b += bytes([code])
            head.g(kind)
            if kind == "g":
                head.g(value)
            else:
                head.s(value)

    head.array(8, write)
    head.align(8)
    return bytes(head.b) + bytes(body)


def start_transient(unit, padding=0, odd=False):
    return message("StartTransientUnit", transient(unit, padding), "ssa(sv)a(sa(sv))",
                   serial=SERIAL, odd=odd)


def wait_for_answer(s):
    """Until the call was answered: a manager tells news on its private socket, too."""
    s.settimeout(60)
    limit = time.monotonic() + 60
    told = b""
    # The header field that names the call: its serial, in a variant.
    while b"\5\1u\0" + struct.pack("<I", SERIAL) not in told:
        more = s.recv(4096)
        if not more or time.monotonic() > limit:
            sys.exit("the manager gave no answer")
        told += more


def connect(path):
    s = socket.socket(socket.AF_UNIX)
    s.connect(path)
    uid = str(os.getuid()).encode().hex()
    s.sendall(b"\0AUTH EXTERNAL " + uid.encode() + b"\r\n")
    s.recv(4096)
    s.sendall(b"BEGIN\r\n")
    if path == BUS:
        bus = ("org.freedesktop.DBus", "/org/freedesktop/DBus")
        s.sendall(message("Hello", destination=bus[0], path=bus[1], interface=bus[0]))
        s.recv(4096)
    return s


def main():
    how, unit = sys.argv[1:3]
    s = connect(BUS if how.startswith("bus") else PRIVATE)
    call = start_transient(unit)
    if how in ("whole", "bus"):
        s.sendall(call)
    elif how == "odd":
        s.sendall(start_transient(unit, odd=True))
    elif how in ("bytes", "bus-bytes"):
        for byte in call:
            s.send(bytes([byte]))
    elif how == "halves":
        s.send(call[:100])
        s.send(call[100:])
    elif how == "bus-halves":
        s.send(call[:40])
        s.send(call[40:])
    elif how == "two":
        s.sendall(message("GetDefaultTarget", serial=7) + call)
    elif how == "pieces":
        s.sendmsg([call[:7], call[7:16], call[16:90], call[90:]])
    elif how == "bus-pieces":
        s.sendmsg([call[:7], call[7:16], call[16:90], call[90:]])
    elif how == "long":
        s.sendall(start_transient(unit, padding=30000))
    elif how == "sendfile":
        with open("/run/" + unit, "wb+") as file:
            file.write(call)
            file.flush()
            os.sendfile(s.fileno(), file.fileno(), 0, len(call))
    elif how == "child":
        # Whoever holds the connection, the one who sends asks.
        s.set_inheritable(True)
        if os.fork() == 0:
            os.execv(sys.executable, [sys.executable, sys.argv[0], "inherited", unit, str(s.fileno())])
        os.wait()
        return
    elif how == "garbage":
        for _ in range(int(sys.argv[3])):
            try:
                s.send(os.urandom(600))
            except OSError:
                s = connect(PRIVATE)
        return
    elif how == "flood":
        # Faster than anybody reads: what does not fit is not sent, but was seen. No answer is wanted.
        text = Out()
        text.s("x" * 300)
        nonsense = message("NoSuchThing", text.b, "s", flags=1)
        s.setblocking(False)
        for number in range(int(sys.argv[3])):
            try:
                s.send(nonsense)
            except BlockingIOError:
                pass
            if number == 5000:
                open("/run/" + unit + ".began", "w").close()
        return
    wait_for_answer(s)


if sys.argv[1] == "inherited":
    held = socket.socket(fileno=int(sys.argv[3]))
    held.sendall(start_transient(sys.argv[2]))
    wait_for_answer(held)
else:
    main()
