# What the boot itself started: overlay/ has the units. whodunit.service is ready before those that
# come after it.

# Wanted by multi-user.target.
truth act-boot.service boot ...
# Its timer should have elapsed while the machine was off (Persistent=); its job waits for the agent.
truth act-persist.service 'timer act-persist.timer'
# It was started by its timer before the agent; the second command runs after the agent is ready.
truth act-flight.service 'timer act-flight.timer' ...
await persist flight boot
