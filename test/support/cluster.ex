defmodule Blanket.Test.Cluster do
  @moduledoc false

  # Nodes on this machine, each a virtual machine of its own with Blanket, and Mnesia when it is started.
  # They are connected to one another as they are told, and never by themselves, so that a partition is
  # one until it is healed. The tests speak to them through pipes and are no part of it.

  defstruct [:name, :peer, :node, :dir]

  @doc """
  Starts a node for each name. They know each other, and have empty directories for Mnesia in `dir`.
  """
  def start(names, dir) do
    File.mkdir_p!(dir)
    # Those of an earlier cluster may not have ended yet.
    cluster = "#{System.pid()}-#{System.unique_integer([:positive])}"

    members =
      for name <- names,
          do: start_node(:"#{name}-#{cluster}", Path.expand(to_string(name), dir))

    connect(members)
    members
  end

  defp start_node(name, dir) do
    {:ok, peer, node} =
      :peer.start_link(%{
        name: name,
        host: ~c"127.0.0.1",
        longnames: true,
        connection: :standard_io,
        wait_boot: 60_000,
        args: arguments(dir)
      })

    member = %__MODULE__{name: name, peer: peer, node: node, dir: dir}
    {:ok, _} = call(member, Application, :ensure_all_started, [:blanket])
    call(member, Logger, :configure, [[level: :none]])
    member
  end

  defp arguments(dir) do
    own = for path <- :code.get_path(), not List.starts_with?(path, :code.root_dir()), do: path

    Enum.flat_map(own, &[~c"-pa", &1]) ++
      [~c"-setcookie", ~c"blanket", ~c"-connect_all", ~c"false", ~c"+S", ~c"2"] ++
      [~c"-kernel", ~c"prevent_overlapping_partitions", ~c"false"] ++
      [~c"-kernel", ~c"dist_auto_connect", ~c"never", ~c"-kernel", ~c"logger_level", ~c"critical"] ++
      [~c"-mnesia", ~c"dir", to_charlist(inspect(dir))]
  end

  def call(member, module, function, arguments),
    do: :peer.call(member.peer, module, function, arguments, 120_000)

  @doc """
  Has all members call the function at the same time.
  """
  def each(members, module, function, arguments) do
    members
    |> Enum.map(&Task.async(fn -> call(&1, module, function, arguments) end))
    |> Task.await_many(:infinity)
  end

  def nodes(members), do: Enum.map(members, & &1.node)

  @doc """
  Ends the node as a machine that loses its power does.
  """
  def kill(member) do
    monitor = Process.monitor(member.peer)
    {_, 0} = System.cmd("kill", ["-9", to_string(call(member, :os, :getpid, []))])

    receive do
      {:DOWN, ^monitor, :process, _peer, _reason} -> :ok
    end
  end

  @doc """
  Starts a killed node again, with what its disk has, and connects it to the others.
  """
  def revive(member, others) do
    member = start_node(member.name, member.dir)
    connect([member | others])
    member
  end

  @doc """
  Has the members of one side and those of the other not see each other.
  """
  def part(one, other) do
    for a <- one, b <- other do
      call(a, :erlang, :disconnect_node, [b.node])
      call(b, :erlang, :disconnect_node, [a.node])
    end

    for a <- one, b <- other, do: wait(fn -> b.node not in call(a, :erlang, :nodes, []) end)
    :ok
  end

  @doc """
  Has all members see each other.
  """
  def connect(members) do
    for a <- members, b <- members, a.node < b.node do
      true = call(a, :net_kernel, :connect_node, [b.node])
    end

    :ok
  end

  @doc """
  Waits until all the values that `read` answers are the same one: long enough for any machine, so that what
  is different for good is told.
  """
  def await_one(read, tries \\ 3000) do
    case Enum.uniq(values = read.()) do
      [value] ->
        value

      _ when tries > 0 ->
        Process.sleep(10)
        await_one(read, tries - 1)

      _ ->
        raise "these do not become one: " <> inspect(values, limit: :infinity)
    end
  end

  defp wait(condition) do
    unless condition.() do
      Process.sleep(5)
      wait(condition)
    end
  end

  def stop(members) do
    for member <- members, do: stop_peer(member.peer)
    :ok
  end

  # It ends with the test, too.
  defp stop_peer(peer) do
    :peer.stop(peer)
  catch
    :exit, _ -> :ok
  end
end
