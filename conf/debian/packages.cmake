# Two Debian packages, pointsman and pointsman-agent: `cmake --build --preset release --target packages` leaves them in
# packages/ of the build folder. CPack takes the dependencies on libraries from the programs (dpkg-shlibdeps).

set(debian ${PROJECT_SOURCE_DIR}/conf/debian)
set(pages ${PROJECT_BINARY_DIR}/pages)

# What is read by no program is made here, compressed as Debian wants it, and without the time of the build.
configure_file(${debian}/changelog.in ${pages}/changelog @ONLY)
set(manuals ${pages}/pointsman.8 ${pages}/pointsman-agent.8 ${pages}/pointsman.toml.5 ${pages}/agent.toml.5)
set(completions ${pages}/pointsman.bash ${pages}/pointsman-agent.bash)
set(compressed ${pages}/changelog.gz)
foreach(manual ${manuals})
  list(APPEND compressed ${manual}.gz)
endforeach()
add_custom_command(
  OUTPUT ${manuals} ${completions} ${compressed}
  COMMAND pointsman-pages ${PROJECT_SOURCE_DIR}/conf ${pages}
  COMMAND gzip -9nkf ${manuals} ${pages}/changelog
  DEPENDS pointsman-pages ${PROJECT_SOURCE_DIR}/conf/pointsman.toml ${PROJECT_SOURCE_DIR}/conf/agent.toml
    ${pages}/changelog
  COMMENT "Writing manual pages and completions"
  VERBATIM)
add_custom_target(pages DEPENDS ${manuals} ${completions} ${compressed})

set(CMAKE_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
  OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)

# No function of a library can be redirected once the program runs.
foreach(program pointsman pointsman-agent)
  set_property(TARGET ${program} APPEND PROPERTY LINK_OPTIONS LINKER:-z,relro,-z,now)
endforeach()

# install_package(NAME ...): what both packages have, each as a component of its name.
#   MANUALS FILE...   EXAMPLES FILE...   USER of its unit   CONFIG file   OTHER: the other package
#   MORE_UNITS NAME...: units that the administrator enables, beside NAME.service
function(install_package name)
  cmake_parse_arguments(PARSE_ARGV 1 "" "" "USER;CONFIG;OTHER" "MANUALS;EXAMPLES;MORE_UNITS")
  set(documents share/doc/${name})
  install(TARGETS ${name} DESTINATION bin COMPONENT ${name})
  set(UNITS ${name}.service ${_MORE_UNITS})
  foreach(unit ${UNITS})
    install(FILES ${PROJECT_SOURCE_DIR}/conf/${unit} DESTINATION lib/systemd/system COMPONENT ${name})
  endforeach()
  list(JOIN UNITS " " UNITS)
  foreach(manual ${_MANUALS})
    string(REGEX REPLACE ".*\\." "" section ${manual})
    install(FILES ${pages}/${manual}.gz DESTINATION share/man/man${section} COMPONENT ${name})
  endforeach()
  install(FILES ${pages}/${name}.bash DESTINATION share/bash-completion/completions RENAME ${name} COMPONENT ${name})
  foreach(example ${_EXAMPLES})
    install(FILES ${PROJECT_SOURCE_DIR}/conf/${example} DESTINATION ${documents}/examples COMPONENT ${name})
  endforeach()
  install(FILES ${debian}/copyright ${pages}/changelog.gz DESTINATION ${documents} COMPONENT ${name})
  if(EXISTS ${debian}/${name}.lintian-overrides)
    install(FILES ${debian}/${name}.lintian-overrides DESTINATION share/lintian/overrides RENAME ${name}
      COMPONENT ${name})
  endif()

  string(TOUPPER ${name} upper)
  set(CPACK_DEBIAN_${upper}_PACKAGE_NAME ${name} PARENT_SCOPE)
  set(NAME ${name})
  set(USER ${_USER})
  set(CONFIG ${_CONFIG})
  set(OTHER ${_OTHER})
  set(scripts)
  foreach(script postinst prerm postrm)
    if(EXISTS ${debian}/${name}.${script})
      file(READ ${debian}/${name}.${script} OWN_${script})
      set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${debian}/${name}.${script})
    endif()
    configure_file(${debian}/${script}.in ${PROJECT_BINARY_DIR}/debian/${name}/${script} @ONLY FILE_PERMISSIONS
      OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
    list(APPEND scripts ${PROJECT_BINARY_DIR}/debian/${name}/${script})
  endforeach()
  set(CPACK_DEBIAN_${upper}_PACKAGE_CONTROL_EXTRA "${scripts}" PARENT_SCOPE)
endfunction()

install_package(pointsman
  USER pointsman CONFIG /etc/pointsman/pointsman.toml OTHER pointsman-agent
  MANUALS pointsman.8 pointsman.toml.5
  EXAMPLES pointsman.toml pointsman.socket prometheus-alerts.yml grafana-dashboard.json)
install(FILES ${PROJECT_SOURCE_DIR}/README.md DESTINATION share/doc/pointsman COMPONENT pointsman)
install_package(pointsman-agent
  USER root CONFIG /etc/pointsman/agent.toml OTHER pointsman
  MANUALS pointsman-agent.8 agent.toml.5
  EXAMPLES agent.toml
  MORE_UNITS pointsman-agent-copies.service)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME pointsman)
set(CPACK_PACKAGE_VENDOR Pointsman)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_OUTPUT_FILE_PREFIX ${PROJECT_BINARY_DIR}/packages)
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL pointsman pointsman-agent)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS ${CMAKE_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS})
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_POINTSMAN_PACKAGE_DEPENDS "adduser, init-system-helpers (>= 1.54)")
set(CPACK_DEBIAN_POINTSMAN-AGENT_PACKAGE_DEPENDS "init-system-helpers (>= 1.54)")
set(CPACK_DEBIAN_PACKAGE_MAINTAINER "Pointsman maintainers <maintainers@pointsman.example>")
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SECTION database)
# For `pointsman setup` and for what a returned server has alone: mariadb-dump, mariadb-binlog.
set(CPACK_DEBIAN_POINTSMAN_PACKAGE_RECOMMENDS "mariadb-client | default-mysql-client")
set(CPACK_DEBIAN_POINTSMAN_PACKAGE_SUGGESTS "fence-agents")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "")  # each package has its own, the first line
set(CPACK_DEBIAN_POINTSMAN_DESCRIPTION "one MySQL address that follows the primary
Pointsman owns the address that applications connect to, and passes them on to
the primary of two or more MySQL or MariaDB servers that replicate. When the
primary fails it is fenced, a replica is promoted, and clients go on there;
when it returns it becomes a replica.

This package has the daemon and the operator's commands.")
set(CPACK_DEBIAN_POINTSMAN-AGENT_DESCRIPTION "heartbeats and fencing on a database host, for Pointsman
Pointsman keeps one MySQL address pointing at the current primary of servers
that replicate. Its agent runs on each database host, beside the server.

It sends heartbeats over UDP and a serial line, sees the server die or hang
from the inside, and makes it read-only when it is not heard from Pointsman
any more, so that another one can be promoted.")
include(CPack)

add_custom_target(packages
  COMMAND ${CMAKE_COMMAND} -E rm -rf ${PROJECT_BINARY_DIR}/packages
  COMMAND ${CMAKE_CPACK_COMMAND} --config ${PROJECT_BINARY_DIR}/CPackConfig.cmake
  DEPENDS pointsman pointsman-agent pages
  COMMENT "Making the Debian packages"
  USES_TERMINAL
  VERBATIM)
