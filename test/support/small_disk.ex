defmodule Blanket.SmallDisk do
  @moduledoc """
  A file system in memory that is soon full, and can be made larger. Only root may make one.
  """

  @doc "Whether there can be one here."
  @spec possible?() :: boolean
  def possible? do
    folder = Path.join(System.tmp_dir!(), "blanket-mount-#{System.pid()}")
    File.mkdir_p!(folder)
    possible? = mount(folder, "size=1m") == 0
    if possible?, do: unmount(folder)
    File.rmdir!(folder)
    possible?
  end

  @doc "Makes a folder such a file system until the test is over."
  @spec make(Path.t()) :: :ok
  def make(folder) do
    File.mkdir_p!(folder)
    0 = mount(folder, "size=4m")
    ExUnit.Callbacks.on_exit(fn -> unmount(folder) end)
    :ok
  end

  @spec change(Path.t(), String.t()) :: :ok
  def change(folder, options) do
    0 = mount(folder, "remount," <> options)
    :ok
  end

  defp mount(folder, options) do
    {_output, status} =
      System.cmd("mount", ["-t", "tmpfs", "-o", options, "tmpfs", folder], stderr_to_stdout: true)

    status
  rescue
    ErlangError -> 127
  end

  defp unmount(folder), do: System.cmd("umount", [folder], stderr_to_stdout: true)
end
