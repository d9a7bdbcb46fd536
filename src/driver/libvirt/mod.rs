//! VMs on this host through libvirt.
